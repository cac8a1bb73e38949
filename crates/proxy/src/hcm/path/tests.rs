use super::*;

fn all(escaped_slashes: EscapedSlashes, path: &str) -> Normalized {
    Rules { normalize: true, merge_slashes: true, escaped_slashes }.normalized(path)
}

#[test]
fn dot_segments_are_removed_as_browsers_do() {
    for (path, want) in [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/../a", "/a"),
        ("/..", "/"),
        ("/a//../b", "/a/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a\\..\\b", "/b"),
        ("/a\\b", "/a/b"),
        ("/", "/"),
        ("/a/...", "/a/..."),
        ("/a/.b", "/a/.b"),
        ("/a../b", "/a../b"),
    ] {
        assert_eq!(canonical(path).as_deref(), Some(want), "{path}");
    }
    assert_eq!(canonical("a"), None);
}

#[test]
fn parameters_of_dot_segments_do_not_hide_them() {
    for (path, want) in [
        ("/a/..;/b", "/b"),
        ("/a/..;x=1/b", "/b"),
        ("/a/.;/b", "/a/b"),
        ("/a/..;", "/"),
        ("/a;b/../c", "/c"),
        ("/a/..b;/c", "/a/..b;/c"),
        ("/a/%2e%2e;/b", "/a/..;/b"),
    ] {
        assert_eq!(canonical(path).as_deref(), Some(want), "{path}");
    }
}

#[test]
fn only_unreserved_characters_are_unescaped() {
    for (path, want) in [
        ("/%41%7a%30%2D%5f%7E", "/Az0-_~"),
        ("/%2f%5C%25%20%3b%3F", "/%2f%5C%25%20%3b%3F"),
        ("/%c3%A9", "/%c3%A9"),
        ("/%", "/%"),
        ("/%4", "/%4"),
        ("/%zz", "/%zz"),
        ("/%%41", "/%A"),
        ("/%2541", "/%2541"),
        ("/%2%41", "/%252A"),
        ("/%%41%42", "/%25AB"),
        ("/%%41b", "/%25Ab"),
        ("/%%35%63", "/%255c"),
        ("/%%%41%42", "/%%25AB"),
        ("/%2e%2%65", "/.%252e"),
        ("/%4/../%41%42", "/AB"),
        ("/%%30%30", "/%2500"),
    ] {
        assert_eq!(canonical(path).as_deref(), Some(want), "{path}");
    }
}

#[test]
fn characters_without_a_place_in_a_path_are_escaped() {
    assert_eq!(canonical("/\"<>^`{|}").as_deref(), Some("/%22%3C%3E%5E%60%7B%7C%7D"));
    assert_eq!(canonical("/\u{e9} ").as_deref(), Some("/%C3%A9%20"));
    assert_eq!(canonical("/[]!$&'()*+,:;=@").as_deref(), Some("/[]!$&'()*+,:;=@"));
}

#[test]
fn an_escaped_nul_is_refused() {
    assert_eq!(canonical("/a%00"), None);
    assert_eq!(canonical("/a%01").as_deref(), Some("/a%01"));
}

#[test]
fn slashes_are_merged_in_the_path() {
    assert_eq!(merge_slashes("//a///b/"), "/a/b/");
}

#[test]
fn escaped_slashes_are_judged_before_dots() {
    let path = "/a/..%2Fb?x=%2F//";
    let forward = all(EscapedSlashes::UnescapeAndForward, path);
    assert_eq!(forward, Normalized { path: Some("/b?x=%2F//".into()), verdict: Verdict::Forward });
    let redirect = all(EscapedSlashes::UnescapeAndRedirect, path);
    assert_eq!(redirect, Normalized { path: Some("/b?x=%2F//".into()), verdict: Verdict::Redirect });
    let reject = all(EscapedSlashes::Reject, path);
    assert_eq!(reject, Normalized { path: Some("/a/../b?x=%2F//".into()), verdict: Verdict::Reject });
    let keep = all(EscapedSlashes::Keep, path);
    assert_eq!(keep, Normalized { path: None, verdict: Verdict::Forward });
}

#[test]
fn a_fragment_is_refused_and_kept_for_the_log() {
    let refused = all(EscapedSlashes::Keep, "/a/../b#c");
    assert_eq!(refused, Normalized { path: None, verdict: Verdict::Reject });
}
