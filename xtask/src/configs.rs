//! Every example configuration and every YAML in the docs must load.
//!
//! Takes `config/*.yaml` and the blocks fenced as `yaml` in `README.md` and
//! `docs/**/*.md` that are whole bootstraps (a top-level `static_resources`,
//! `dynamic_resources` or `admin`); fragments are left to the tests of the code
//! they describe. Each must satisfy `nuncio validate` and, where it is
//! installed, real Envoy. A block that only nuncio takes says so in its fence:
//! ```` ```yaml nuncio-only ````.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::{bounded, heading, minutes};
use crate::{Options, build, tools};

const WHOLE: [&str; 3] = ["static_resources:", "dynamic_resources:", "admin:"];

/// One configuration to be checked.
struct Example {
    /// Where it stands, for people.
    place: String,
    text: String,
    nuncio_only: bool,
}

/// Checks all of them and fails naming each that does not load.
pub(crate) fn run(options: &Options) -> Result<()> {
    let binary = build::nuncio(options)?;
    heading("configs: every example loads");
    let examples = examples(&tools::root())?;
    let envoy = tools::envoy();
    if envoy.is_none() {
        if tools::in_ci() {
            bail!("real Envoy is not installed: `cargo xtask tools`");
        }
        println!("    real Envoy is not installed: only nuncio is asked");
    }
    let scratch = tools::root().join("target/configs");
    fs::create_dir_all(&scratch)?;
    let mut refused = 0;
    for (number, example) in examples.iter().enumerate() {
        let file = scratch.join(format!("{number}.yaml"));
        fs::write(&file, &example.text)?;
        let mut nuncio = Command::new(&binary);
        nuncio.arg("validate").arg(&file);
        refused += u32::from(!accepts("nuncio", &mut nuncio, example)?);
        if let Some(envoy) = envoy.as_ref().filter(|_| !example.nuncio_only) {
            let mut command = Command::new(envoy);
            command.args(["--mode", "validate", "-l", "error", "-c"]).arg(&file);
            refused += u32::from(!accepts("Envoy", &mut command, example)?);
        }
    }
    println!("configs: {} examples, {refused} refused", examples.len());
    if refused > 0 {
        bail!("{refused} examples do not load");
    }
    Ok(())
}

fn accepts(who: &str, command: &mut Command, example: &Example) -> Result<bool> {
    let output = tools::root().join("target/configs/output");
    let written = fs::File::create(&output)?;
    command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
    let status = bounded(who, command, minutes(1))?;
    if !status.success() {
        let text = fs::read_to_string(&output).unwrap_or_default();
        println!("    {who} refuses {}:\n{}", example.place, text.trim_end());
    }
    Ok(status.success())
}

fn examples(root: &Path) -> Result<Vec<Example>> {
    let mut found = Vec::new();
    for file in files_below(&root.join("config"), "yaml")? {
        let text = read(&file)?;
        let nuncio_only = text.lines().next().is_some_and(|line| line.contains("nuncio-only"));
        found.push(Example { place: shown(root, &file), text, nuncio_only });
    }
    let mut pages = files_below(&root.join("docs"), "md")?;
    pages.push(root.join("README.md"));
    for page in pages.iter().filter(|page| page.is_file()) {
        found.extend(blocks(&shown(root, page), &read(page)?));
    }
    Ok(found)
}

/// The whole bootstraps among the fenced YAML blocks of a page.
fn blocks(place: &str, page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(words) = line.trim().strip_prefix("```yaml") else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim() != "```")
            .map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n")
            .collect();
        if text.lines().any(|line| WHOLE.iter().any(|key| line.starts_with(key))) {
            found.push(Example {
                place: format!("{place}:{}", number + 1),
                text,
                nuncio_only: words.contains("nuncio-only"),
            });
        }
    }
    found
}

fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn whole_bootstraps_are_found_with_their_lines() {
        let page = "text\n```yaml\nadmin:\n  x: 1\n```\n- item\n  ```yaml nuncio-only\n  \
                    static_resources: {}\n  ```\n";
        let found = blocks("page.md", page);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].place.as_str(), found[0].text.as_str()), ("page.md:2", "admin:\n  x: 1\n"));
        assert_eq!(found[1].text, "static_resources: {}\n");
        assert!(found[1].nuncio_only && !found[0].nuncio_only);
    }

    #[test]
    fn fragments_and_other_languages_are_left_alone() {
        let page = "```yaml\nroute: {cluster: a}\n```\n```json\nadmin:\n```\n";
        assert!(blocks("page.md", page).is_empty());
    }
}
