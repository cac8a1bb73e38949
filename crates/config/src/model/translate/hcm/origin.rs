//! Where a request comes from: who counts as its client, what is believed of it, and what is changed
//! before anything looks at it.

use envoy_types::pb::envoy::{
    config::core::v3::TypedExtensionConfig,
    extensions::{
        filters::network::http_connection_manager::v3::{self as pb, http_connection_manager as inner},
        http::{
            early_header_mutation::header_mutation::v3::HeaderMutation as WireMutation,
            original_ip_detection::{custom_header::v3::CustomHeaderConfig, xff::v3::XffConfig},
        },
    },
};
use http::StatusCode;

use super::super::{Context, extension, value::flag};
use crate::model::{
    hcm::{ForwardClientCert, OriginalIpDetection},
    header::HeaderChange,
    report::Path,
};

const XFF: &str = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
const CUSTOM_HEADER: &str = "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig";
const HEADER_MUTATION: &str = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";

/// `original_ip_detection_extensions`
pub(super) fn detection(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: &mut pb::HttpConnectionManager,
) -> Vec<OriginalIpDetection> {
    let list = std::mem::take(&mut message.original_ip_detection_extensions);
    let exclusive = flag(message.use_remote_address, false) || message.xff_num_trusted_hops > 0;
    if exclusive && !list.is_empty() {
        let text = "`original_ip_detection_extensions` cannot be combined with `use_remote_address` or \
                    `xff_num_trusted_hops`";
        cx.report.error(&path.field("original_ip_detection_extensions"), "conflicting-fields", text);
    }
    let each = list.into_iter().enumerate();
    each.filter_map(|(at, typed)| one_detection(cx, &path.item("original_ip_detection_extensions", at), &typed))
        .collect()
}

fn one_detection(cx: &mut Context<'_>, path: &Path<'_>, typed: &TypedExtensionConfig) -> Option<OriginalIpDetection> {
    let any = typed.typed_config.as_ref();
    let value = any.map(|any| any.value.as_slice()).unwrap_or_default();
    let at = path.field("typed_config");
    match any.map(extension::type_name) {
        Some(XFF) => {
            let config: XffConfig = cx.decode(&at, value)?;
            Some(forwarded_for(cx, &at, config))
        }
        Some(CUSTOM_HEADER) => {
            let config: CustomHeaderConfig = cx.decode(&at, value)?;
            custom_header(cx, &at, &config)
        }
        _ => {
            let built = &["envoy.http.original_ip_detection.xff", "envoy.http.original_ip_detection.custom_header"];
            cx.unknown_extension(path, "original IP detection", &typed.name, any, built);
            None
        }
    }
}

fn forwarded_for(cx: &mut Context<'_>, path: &Path<'_>, config: XffConfig) -> OriginalIpDetection {
    if config.xff_trusted_cidrs.is_some() && config.xff_num_trusted_hops > 0 {
        let text = "only one of `xff_num_trusted_hops` and `xff_trusted_cidrs` can be set";
        cx.report.error(&path.field("xff_trusted_cidrs"), "conflicting-fields", text);
    }
    let trusted = config.xff_trusted_cidrs.map(|list| cx.cidrs(&path.field("xff_trusted_cidrs"), "cidrs", list.cidrs));
    OriginalIpDetection::ForwardedFor {
        trusted_hops: config.xff_num_trusted_hops,
        trusted,
        skip_append: flag(config.skip_xff_append, true),
    }
}

fn custom_header(cx: &mut Context<'_>, path: &Path<'_>, config: &CustomHeaderConfig) -> Option<OriginalIpDetection> {
    let name = cx.header_name(&path.field("header_name"), &config.header_name)?;
    // Only errors refuse, as in Envoy; any other status means 403.
    let status = |code: i32| {
        let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        status.filter(|s| s.is_client_error() || s.is_server_error()).unwrap_or(StatusCode::FORBIDDEN)
    };
    Some(OriginalIpDetection::Header {
        name,
        trusted: config.allow_extension_to_set_address_as_trusted,
        reject_with: config.reject_with_status.as_ref().map(|with| status(with.code)),
    })
}

/// `early_header_mutation_extensions`
pub(super) fn early_mutation(
    cx: &mut Context<'_>,
    path: &Path<'_>,
    message: &mut pb::HttpConnectionManager,
) -> Vec<HeaderChange> {
    let mut changes = Vec::new();
    for (at, typed) in std::mem::take(&mut message.early_header_mutation_extensions).into_iter().enumerate() {
        let path = path.item("early_header_mutation_extensions", at);
        let any = typed.typed_config.as_ref();
        let Some(any) = any.filter(|any| extension::type_name(any) == HEADER_MUTATION) else {
            let built = &["envoy.http.early_header_mutation.header_mutation"];
            cx.unknown_extension(&path, "early header mutation", &typed.name, any, built);
            continue;
        };
        let path = path.field("typed_config");
        let config: WireMutation = cx.decode(&path, &any.value).unwrap_or_default();
        changes.extend(cx.header_changes(&path, "mutations", config.mutations));
    }
    changes
}

/// `forward_client_cert_details`
pub(super) fn forward_client_cert(message: &pb::HttpConnectionManager) -> ForwardClientCert {
    use inner::ForwardClientCertDetails as Details;
    match message.forward_client_cert_details() {
        Details::Sanitize => ForwardClientCert::Sanitize,
        Details::ForwardOnly => ForwardClientCert::ForwardOnly,
        Details::AppendForward => ForwardClientCert::AppendForward,
        Details::SanitizeSet => ForwardClientCert::SanitizeSet,
        Details::AlwaysForwardOnly => ForwardClientCert::AlwaysForwardOnly,
    }
}
