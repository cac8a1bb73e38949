use super::*;
use crate::{LoadOptions, load, text::Format};

const YAML: &str = "static_resources:\n  clusters:\n  - name: \"héé\" # x\n    conect_timeout: 1s\n";

fn rendered(text: &str, format: OutputFormat) -> String {
    let source = Source { name: "envoy.yaml".into(), text: text.into(), format: Format::Yaml };
    let bootstrap = "envoy.config.bootstrap.v3.Bootstrap";
    let loaded = load(bootstrap, vec![source], LoadOptions::default());
    render(&loaded.diagnostics, &loaded.sources, format)
}

#[test]
fn people_see_the_line_the_place_and_what_to_do() {
    let expected = "\
error[unknown-field]: Cluster has no field `conect_timeout`
 --> envoy.yaml:4:5
  |
4 |     conect_timeout: 1s
  |     ^^^^^^^^^^^^^^
  = in: static_resources.clusters[0]
  = help: did you mean `connect_timeout`?

";
    assert_eq!(rendered(YAML, OutputFormat::Human { color: false }), expected);
    let coloured = rendered(YAML, OutputFormat::Human { color: true });
    assert!(coloured.starts_with("\x1b[1;31merror[unknown-field]\x1b[0m"));
}

#[test]
fn long_lines_are_cut_around_the_place_and_tabs_kept() {
    let long = format!("{{node: {{id: a, cluster: \"{}\", x: 1}}}}", "ä".repeat(400));
    let shown = rendered(&long, OutputFormat::Human { color: false });
    let line = |at: usize| shown.lines().nth(at).unwrap().chars().collect::<Vec<_>>();
    let (text, carets) = (line(3), line(4));
    assert!(text.len() < 200);
    assert_eq!(text[carets.iter().position(|caret| *caret == '^').unwrap()], 'x');
    let shown = rendered("{node: {\t\"y\": 1}}", OutputFormat::Human { color: false });
    assert!(shown.contains("|         \t^^^\n"), "{shown}");
}

#[test]
fn programs_get_an_array() {
    let json: serde_json::Value = serde_json::from_str(&rendered(YAML, OutputFormat::Json)).unwrap();
    assert_eq!(json[0]["code"], "unknown-field");
    assert_eq!(json[0]["file"], "envoy.yaml");
    assert_eq!(json[0]["line"], 4);
    assert_eq!(json[0]["start"], YAML.find("conect").unwrap());
    assert_eq!(json[0]["path"], "static_resources.clusters[0]");
}

#[test]
fn code_hosts_get_sarif() {
    let log: serde_json::Value = serde_json::from_str(&rendered(YAML, OutputFormat::Sarif)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "unknown-field");
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "envoy.yaml");
    assert_eq!(place["region"]["startLine"], 4);
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "unknown-field");
}

#[test]
fn a_diagnostic_without_a_place_is_shown_without_one() {
    let alone = [Diagnostic::warning("x", "a.b", "odd").with_help("do\nthis")];
    let shown = render(&alone, &[], OutputFormat::Human { color: false });
    assert_eq!(shown, "warning[x]: odd\n  = in: a.b\n  = help: do\n  = help: this\n\n");
    for format in [OutputFormat::Json, OutputFormat::Sarif] {
        assert!(render(&alone, &[], format).contains("\"odd"));
    }
}
