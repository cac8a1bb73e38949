//! The macro that declares a template and the constants that index it.
//!
//! Sections may be left out but keep this order: `counters`, `gauges`,
//! `histograms`, `histograms_when_used` (listed from their first value on),
//! `texts`, `codes` (all three sorts of names from the first response on),
//! `codes_with_completed` (the `_completed` counter is listed from the start),
//! `listed_last`. An entry is `name`, or `name => "dotted.name"` where the name
//! on the wire is not an identifier.

/// Declares a module with `TEMPLATE` and one constant for each stat.
///
/// ```
/// nuncio_stats::stat_template! {
///     /// What a door counts.
///     pub mod door_stats {
///         counters { opened, jammed => "lock.jammed" }
///         gauges { open_now }
///         histograms { open_time: Milliseconds }
///     }
/// }
/// assert_eq!(door_stats::JAMMED, nuncio_stats::Counter(1));
/// assert_eq!(door_stats::TEMPLATE.counters[1].name, "lock.jammed");
/// ```
#[macro_export]
macro_rules! stat_template {
    (
        $(#[$meta:meta])*
        $vis:vis mod $module:ident {
            $(counters { $($(#[$cm:meta])* $c:ident $(=> $cs:literal)?),* $(,)? })?
            $(gauges { $($(#[$gm:meta])* $g:ident $(=> $gs:literal)?),* $(,)? })?
            $(histograms { $($(#[$hm:meta])* $h:ident $(=> $hs:literal)? : $hu:ident),* $(,)? })?
            $(histograms_when_used { $($(#[$um:meta])* $u:ident $(=> $us:literal)? : $uu:ident),* $(,)? })?
            $(texts { $($(#[$tm:meta])* $t:ident $(=> $ts:literal)?),* $(,)? })?
            $(codes { $($(#[$dm:meta])* $d:ident $(=> $ds:literal)?),* $(,)? })?
            $(codes_with_completed { $($(#[$em:meta])* $e:ident $(=> $es:literal)?),* $(,)? })?
            $(listed_last: $last:literal)?
        }
    ) => {
        $(#[$meta])*
        // A template lists all names of Envoy, used here or not.
        #[allow(unreachable_pub, dead_code)]
        $vis mod $module {
            // Enums number the stats; only their discriminants are used.
            #[allow(non_camel_case_types, dead_code, clippy::enum_variant_names, clippy::upper_case_acronyms)]
            mod index {
                pub(super) enum Counters { $($($c),*)? }
                pub(super) enum Gauges { $($($g),*)? }
                pub(super) enum Histograms { $($($h,)*)? $($($u,)*)? }
                pub(super) enum Texts { $($($t),*)? }
                pub(super) enum Codes { $($($d,)*)? $($($e,)*)? }
            }
            $crate::__pastey::paste! {
                $($(
                    #[doc = concat!("Counter `", $crate::__stat_name!($c $($cs)?), "`.")] $(#[$cm])*
                    pub const [<$c:upper>]: $crate::Counter = $crate::Counter(index::Counters::$c as u16);
                )*)?
                $($(
                    #[doc = concat!("Gauge `", $crate::__stat_name!($g $($gs)?), "`.")] $(#[$gm])*
                    pub const [<$g:upper>]: $crate::Gauge = $crate::Gauge(index::Gauges::$g as u16);
                )*)?
                $($(
                    #[doc = concat!("Histogram `", $crate::__stat_name!($h $($hs)?), "`.")] $(#[$hm])*
                    pub const [<$h:upper>]: $crate::Histogram = $crate::Histogram(index::Histograms::$h as u16);
                )*)?
                $($(
                    #[doc = concat!("Histogram `", $crate::__stat_name!($u $($us)?), "`, listed once used.")] $(#[$um])*
                    pub const [<$u:upper>]: $crate::Histogram = $crate::Histogram(index::Histograms::$u as u16);
                )*)?
                $($(
                    #[doc = concat!("Text readout `", $crate::__stat_name!($t $($ts)?), "`.")] $(#[$tm])*
                    pub const [<$t:upper>]: $crate::Text = $crate::Text(index::Texts::$t as u16);
                )*)?
                $($(
                    #[doc = concat!("Counters by response code `", $crate::__stat_name!($d $($ds)?), "_*`.")] $(#[$dm])*
                    pub const [<$d:upper>]: $crate::Dynamic = $crate::Dynamic(index::Codes::$d as u16);
                )*)?
                $($(
                    #[doc = concat!("Counters by response code `", $crate::__stat_name!($e $($es)?), "_*`.")] $(#[$em])*
                    pub const [<$e:upper>]: $crate::Dynamic = $crate::Dynamic(index::Codes::$e as u16);
                )*)?
            }
            /// The table of stats.
            pub static TEMPLATE: $crate::Template = $crate::Template {
                name: stringify!($module),
                counters: &[$($($crate::StatDef {
                    name: $crate::__stat_name!($c $($cs)?), kind: $crate::Kind::Counter, listed_unused: true,
                }),*)?],
                gauges: &[$($($crate::StatDef {
                    name: $crate::__stat_name!($g $($gs)?), kind: $crate::Kind::Gauge, listed_unused: true,
                }),*)?],
                histograms: &[
                    $($($crate::StatDef {
                        name: $crate::__stat_name!($h $($hs)?),
                        kind: $crate::Kind::Histogram($crate::Unit::$hu), listed_unused: true,
                    },)*)?
                    $($($crate::StatDef {
                        name: $crate::__stat_name!($u $($us)?),
                        kind: $crate::Kind::Histogram($crate::Unit::$uu), listed_unused: false,
                    },)*)?
                ],
                texts: &[$($($crate::StatDef {
                    name: $crate::__stat_name!($t $($ts)?), kind: $crate::Kind::TextReadout, listed_unused: true,
                }),*)?],
                codes: &[
                    $($($crate::CodeFamily {
                        name: $crate::__stat_name!($d $($ds)?), completed_listed_unused: false,
                    },)*)?
                    $($($crate::CodeFamily {
                        name: $crate::__stat_name!($e $($es)?), completed_listed_unused: true,
                    },)*)?
                ],
                listed_last: $crate::__stat_flag!($($last)?),
            };
        }
    };
}

/// The name on the wire: the literal if there is one, else the identifier.
#[doc(hidden)]
#[macro_export]
macro_rules! __stat_name {
    ($ident:ident) => {
        stringify!($ident)
    };
    ($ident:ident $name:literal) => {
        $name
    };
}

/// A boolean that is false when left out.
#[doc(hidden)]
#[macro_export]
macro_rules! __stat_flag {
    () => {
        false
    };
    ($value:literal) => {
        $value
    };
}
