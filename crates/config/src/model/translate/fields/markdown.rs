//! The compatibility page, made from the same table as the check.

use std::fmt::Write;

use super::{Status, Support, table};
use crate::schema::Message;

/// The text of `docs/compatibility.md`.
pub fn compatibility_markdown() -> String {
    let mut page = String::from(
        "# Compatibility\n\n\
         Which fields of Envoy's v3 configuration nuncio reads, per message. Whatever stands under \"not \
         supported yet\" is refused when a configuration is loaded, with the place where it is written; what is \
         ignored is warned about. Messages that are not listed belong to features that are not built.\n\n\
         This page is generated from the table that the loader itself uses.\n",
    );
    for support in table::all() {
        section(&mut page, support);
    }
    page
}

fn section(page: &mut String, support: &Support) {
    let Some(message) = Message::named(support.message) else {
        return;
    };
    let fields: Vec<_> = message.fields().map(|field| (field.name(), support.status(field.name()))).collect();
    if fields.is_empty() {
        return;
    }
    // Writing to a text cannot fail.
    let _ = write!(page, "\n## {}\n\n", support.message);
    let named = |wanted: fn(&Status) -> bool| {
        let names: Vec<_> =
            fields.iter().filter(|(_, status)| wanted(status)).map(|(name, _)| format!("`{name}`")).collect();
        names.join(", ")
    };
    let handled = named(|status| *status == Status::Handled);
    let not_yet = named(|status| *status == Status::NotYet);
    if !handled.is_empty() {
        let _ = writeln!(page, "- Supported: {handled}");
    }
    for (name, status) in &fields {
        match status {
            Status::Ignored(reason) => {
                let _ = writeln!(page, "- Ignored: `{name}`: {reason}");
            }
            Status::Never(reason) => {
                let _ = writeln!(page, "- Not supported: `{name}`: {reason}");
            }
            Status::Handled | Status::NotYet => {}
        }
    }
    if !not_yet.is_empty() {
        let _ = writeln!(page, "- Not supported yet: {not_yet}");
    }
}
