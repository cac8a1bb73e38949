use super::{
    scalar::{Scalar, convert, is_null},
    *,
};

/// Of which message a text is matters to the text format alone.
fn any_message() -> Message {
    Message::named("google.protobuf.Struct").unwrap()
}

fn source(text: &str, format: Format) -> Source {
    Source { name: "t".to_owned(), text: text.to_owned(), format }
}

/// The tree as compact JSON-like text.
fn shown(text: &str, format: Format) -> Result<String, SyntaxError> {
    fn node(tree: &Tree, id: NodeId, text: &str) -> String {
        match tree.node(id).value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Number(number) => format!("#{}", tree.text(number, text)),
            Value::String(string) => format!("{:?}", tree.text(string, text)),
            Value::List { .. } => {
                let items: Vec<_> = tree.items(id).iter().map(|id| node(tree, *id, text)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Map { .. } => {
                let entry = |e: &Entry| format!("{}:{}", tree.key(e.key), node(tree, e.value, text));
                let entries: Vec<_> = tree.entries(id).iter().map(entry).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
    let tree = read(&source(text, format), any_message())?;
    Ok(node(&tree, tree.root, text))
}

fn yaml(text: &str) -> String {
    shown(text, Format::Yaml).unwrap()
}

fn json(text: &str) -> Result<String, String> {
    shown(text, Format::Json).map_err(|error| format!("{} {}", error.at, error.message))
}

#[test]
fn plain_scalars_convert_as_in_yaml_cpp() {
    for (text, expected) in [
        ("y", Scalar::Bool(true)),
        ("Yes", Scalar::Bool(true)),
        ("ON", Scalar::Bool(true)),
        ("off", Scalar::Bool(false)),
        ("N", Scalar::Bool(false)),
        ("tRue", Scalar::Text("tRue".into())),
        ("0x1F", Scalar::Int(31)),
        ("-0x10", Scalar::Int(-16)),
        ("+0x10", Scalar::Int(16)),
        ("010", Scalar::Int(8)),
        ("00", Scalar::Int(0)),
        ("0", Scalar::Int(0)),
        ("+5", Scalar::Int(5)),
        ("-0", Scalar::Int(0)),
        ("2147483647", Scalar::Int(i32::MAX)),
        ("2147483648", Scalar::Text("2147483648".into())),
        ("0x100000000", Scalar::Text("4294967296".into())),
        ("18446744073709551615", Scalar::Text("18446744073709551615".into())),
        ("08", Scalar::Text("08".into())),
        ("0o7", Scalar::Text("0o7".into())),
        ("1_0", Scalar::Text("1_0".into())),
        ("1.5", Scalar::Text("1.5".into())),
        ("1e5", Scalar::Text("1e5".into())),
        (".inf", Scalar::Text(".inf".into())),
        ("0x", Scalar::Text("0x".into())),
        ("+", Scalar::Text("+".into())),
        ("+-5", Scalar::Text("+-5".into())),
        ("", Scalar::Text("".into())),
        ("é", Scalar::Text("é".into())),
    ] {
        assert_eq!(convert(text), expected, "{text}");
    }
    assert!(["", "~", "null", "Null", "NULL"].into_iter().all(is_null));
    assert!(!is_null("nULL"));
}

#[test]
fn quotes_and_tags_decide_what_is_converted() {
    assert_eq!(
        yaml("{a: 'yes', b: \"12\", c: !!str yes, d: ! yes, e: !foo \"12\", f: !!int \"10\"}"),
        r#"{a:"yes",b:"12",c:true,d:"yes",e:12,f:10}"#
    );
    assert_eq!(yaml("a: |\n  yes\nb: >-\n  12\nc: |\n  x"), r#"{a:"yes\n",b:"12",c:"x"}"#);
    assert_eq!(yaml("a: ~\nb:\nc: !!null ''\nd: !foo"), r#"{a:null,b:null,c:"",d:""}"#);
}

#[test]
fn anchors_live_under_ignored_keys_and_merge_keys_are_ordinary() {
    assert_eq!(yaml("!ignore x: &a {b: 1}\nc: *a\nd: [*a]"), "{c:{b:1},d:[{b:1}]}");
    assert_eq!(yaml("a: &a {b: 1}\nc: {<<: *a}"), "{a:{b:1},c:{<<:{b:1}}}");
    assert_eq!(yaml("&k a: 1\nb: *k"), r#"{a:1,b:"a"}"#);
    for endless in ["&a [*a]", "a: &a {b: *a}"] {
        assert!(shown(endless, Format::Yaml).unwrap_err().message.contains("contain itself"));
    }
}

#[test]
fn the_last_of_two_yaml_keys_counts_and_both_are_noted() {
    let text = "a: 1\nb: 2\na: 3\n";
    assert_eq!(yaml(text), "{b:2,a:3}");
    let tree = read(&source(text, Format::Yaml), any_message()).unwrap();
    assert_eq!(tree.duplicates.len(), 1);
    let many: String = (0..40).map(|n| format!("k{n}: {n}\n")).collect();
    assert!(yaml(&format!("{many}k7: x\n")).ends_with("k39:39,k7:\"x\"}"));
}

#[test]
fn only_the_first_yaml_document_counts() {
    assert_eq!(yaml("a: 1\n---\n[[["), "{a:1}");
    assert_eq!(yaml("%YAML 1.2\n---\na: 1\n...\n]"), "{a:1}");
}

#[test]
fn yaml_that_is_no_mapping_or_broken_is_refused_where_it_breaks() {
    for (text, at) in [
        ("", 0),
        ("# x\n", 0),
        ("~", 0),
        ("admin:{}", 0),
        ("a: 1\n  b: 2\n", 8),
        ("a:\n\tb: 1\n", 4),
        ("a: *x\n", 3),
        ("{[1]: 2}", 1),
        ("a: [1\nb: 2\n", 7),
    ] {
        let error = shown(text, Format::Yaml).unwrap_err();
        assert_eq!(error.at, at, "{text:?}: {error:?}");
    }
    let help = shown("a:\n  @type: x\n", Format::Yaml).unwrap_err().help;
    assert!(help.unwrap().contains("\"@type\""));
}

#[test]
fn json_is_read_leniently() {
    for (text, expected) in [
        ("{'a': [1, 2,], b: {},}", "{a:[#1,#2],b:{}}"),
        ("{\"a\":\"\\u0041\\ud83d\\ude00\\/\\n\\'\"}", r#"{a:"A😀/\n'"}"#),
        ("{\"a\":\"x\ty\"}", r#"{a:"x\ty"}"#),
        ("{\"a\":-1.5e3}", "{a:#-1.5e3}"),
        ("{\"a\":null,\"b\":true}", "{a:null,b:true}"),
        ("{\"a\":1,\"a\":2}", "{a:#1,a:#2}"),
        ("[]", "[]"),
    ] {
        assert_eq!(json(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn json_mistakes_are_found_where_they_are() {
    for (text, at) in [
        ("", 0),
        ("{,}", 1),
        ("{\"a\":1,,}", 7),
        ("{\"a\":01}", 5),
        ("{\"a\":.5}", 5),
        ("{\"a\":+1}", 5),
        ("{\"a\":1e400}", 5),
        ("{\"a\":1.}", 5),
        ("{\"a\":NaN}", 5),
        ("{} x", 3),
        ("{}{}", 2),
        ("{\"a\" 1}", 5),
        ("{\"a\":1 \"b\":2}", 7),
        ("{\"a\":\"b}", 6),
        ("{\"a\":\"\\x\"}", 7),
        ("{\"a\":\"\\ud83d\"}", 12),
        ("{\"a\":\"\\u00g0\"}", 7),
        ("/* x */ {}", 0),
        ("\u{feff}{}", 0),
    ] {
        let error = json(text).unwrap_err();
        assert!(error.starts_with(&format!("{at} ")), "{text:?}: {error}");
    }
    let deep = "[".repeat(5_000);
    assert!(json(&deep).unwrap_err().contains("too deep"));
}

#[test]
fn columns_count_characters() {
    let lines = Lines::of("aé😀x\nü: y\n");
    assert_eq!(lines.position(0), (1, 1));
    assert_eq!(lines.position(7), (1, 4));
    assert_eq!(lines.position(9), (2, 1));
    assert_eq!(lines.position(13), (2, 4));
    assert_eq!(Lines::of("").position(0), (1, 1));
}

#[test]
fn a_file_is_yaml_by_its_name_or_else_json() {
    assert_eq!(Format::of_file("a/b.yaml"), Format::Yaml);
    assert_eq!(Format::of_file("B.YML"), Format::Yaml);
    assert_eq!(Format::of_file(".yaml"), Format::Yaml);
    assert_eq!(Format::of_file("b.json"), Format::Json);
    assert_eq!(Format::of_file("b"), Format::Json);
    assert_eq!(Format::of_file("b.Pb_Text"), Format::ProtoText);
    assert_eq!(Format::of_file("b.pb_length_delimited"), Format::Json);
}

#[test]
fn a_binary_message_is_read_as_its_json() {
    const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";
    let of = |bytes: &[u8], allow| Source::from_file("b.PB".into(), bytes.to_vec(), BOOTSTRAP, allow);
    // node (field 1) with the id (field 1) "x"
    let source = of(&[0x0a, 3, 0x0a, 1, b'x'], false).unwrap();
    let json: serde_json::Value = serde_json::from_str(&source.text).unwrap();
    assert_eq!((json, source.format), (serde_json::json!({"node": {"id": "x"}}), Format::Json));
    let unknown = &[0x0a, 3, 0xd2, 0x7f, 0][..];
    let error = of(unknown, false).unwrap_err();
    assert!(error.contains("has no field with the number 2042 (in node)"), "{error}");
    of(unknown, true).unwrap();
    assert!(of(&[0xff], true).unwrap_err().contains("the bytes are not"));
}
