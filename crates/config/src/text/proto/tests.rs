use crate::{Format, LoadOptions, Source, load, to_json};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

fn loaded(text: &str) -> Result<serde_json::Value, String> {
    let source = Source { name: "t.pb_text".into(), text: text.into(), format: Format::ProtoText };
    let loaded = load(BOOTSTRAP, vec![source], LoadOptions::default());
    match loaded.diagnostics.first() {
        Some(first) => {
            let place = first.location.as_ref().map(|place| format!("{}:{} ", place.line, place.column));
            Err(format!("{}{}", place.unwrap_or_default(), first.message))
        }
        None => Ok(to_json(BOOTSTRAP, &loaded.wire).unwrap()),
    }
}

#[test]
fn a_text_says_what_its_json_says() {
    let json = loaded(
        r#"
# A bootstrap.
node < id: "a" 'b' cluster: "\x41\102\u00e9" ; metadata {
  fields { key: "n" value { number_value: -1.5e3 } }
  fields { key: "l" value { list_value { values { bool_value: true } values { null_value: NULL_VALUE } } } }
  fields { key: "s" value: { struct_value { fields: [ { key: "t" value { string_value: "x" } } ] } } }
} >
stats_flush_interval { seconds: 1 nanos: 500000000 },
static_resources {
  clusters {
    name: "c"
    connect_timeout { seconds: 0x2 }
    lb_policy: LEAST_REQUEST
    per_connection_buffer_limit_bytes { value: 010 }
    typed_extension_protocol_options {
      key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
      value {
        [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
          explicit_http_config { http2_protocol_options {} }
        }
      }
    }
  }
  clusters { name: "d" type: 0 connect_timeout { seconds: 1 } common_lb_config { healthy_panic_threshold { value: 5.f } } }
}
"#,
    );
    let expected = serde_json::json!({
        "node": {"id": "ab", "cluster": "ABé", "metadata": {"n": -1500, "l": [true, null], "s": {"t": "x"}}},
        "stats_flush_interval": "1.500s",
        "static_resources": {"clusters": [
            {
                "name": "c", "connect_timeout": "2s", "lb_policy": "LEAST_REQUEST",
                "per_connection_buffer_limit_bytes": 8,
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
            },
            {"name": "d", "type": "STATIC", "connect_timeout": "1s",
             "common_lb_config": {"healthy_panic_threshold": {"value": 5}}},
        ]},
    });
    assert_eq!(json, Ok(expected));
}

#[test]
fn a_well_known_type_in_an_any_stands_below_value() {
    let json = loaded(
        r#"static_resources { clusters { name: "c" connect_timeout { seconds: 1 } transport_socket { name: "x"
           typed_config { [type.googleapis.com/google.protobuf.StringValue] { value: "v" } } } } }"#,
    );
    let socket = &json.unwrap()["static_resources"]["clusters"][0]["transport_socket"];
    let expected = serde_json::json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "v"});
    assert_eq!(socket["typed_config"], expected);
}

#[test]
fn what_the_text_format_refuses_is_refused_with_its_place() {
    for (text, words) in [
        ("node { id: x }", "1:12 expected a text in quotes"),
        ("node { id: \"a\"\n id: \"b\" }", "2:2 `id` is given twice"),
        ("node { id: [\"a\"] }", "1:8 `id` is no list"),
        ("node { idd: \"a\" }", "1:8 Node has no field `idd`"),
        ("node { userAgentName: \"a\" }", "1:8 `userAgentName` is spelt `user_agent_name`"),
        ("node: 5", "1:7 expected `{` and the fields of envoy.config.core.v3.Node"),
        ("node { id: \"a }", "a text is not closed"),
        ("node { id: \"\\q\" }", "invalid escape"),
        ("node { id: \"a\"", "the text ends where a field is expected"),
        ("node { id \"a\" }", "expected `:` or `{`"),
        ("stats_flush_interval: \"1s\"", "expected `{` and the fields of google.protobuf.Duration"),
        ("stats_flush_interval { seconds: 1.5 }", "`1.5` is no whole number"),
        ("stats_flush_interval { seconds: \"1\" }", "expected a whole number"),
        ("stats_flush_on_admin: \"true\"", "expected a value without quotes"),
        ("stats_flush_on_admin: yes", "expected true or false, not `yes`"),
        ("static_resources { clusters { name: \"c\" lb_policy: random } }", "`random` is spelt `RANDOM`"),
        ("static_resources { clusters { name: \"c\" lb_policy: NO } }", "has no value `NO`"),
        (
            "static_resources { clusters { transport_socket { typed_config { type_url: \"x\" } } } }",
            "an Any is written `[type.googleapis.com/envoy.…] { … }`",
        ),
        ("[type.googleapis.com/x] {}", "can only stand in an Any"),
        ("5: 1", "expected a field, not `5`"),
    ] {
        let error = loaded(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn depth_is_bounded() {
    let error = loaded(&"node { ".repeat(200)).unwrap_err();
    assert!(error.contains("nested too deep"), "{error}");
}
