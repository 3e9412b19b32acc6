//! Units enabled and masked by hand, as `systemctl` would: links in
//! `/etc/systemd/system`.

use anyhow::{Result, bail, ensure};

use super::{BaseView, Change, Kind, Overlay, Part};

const ETC: &str = "/etc/systemd/system";

/// Where units are, in systemd's order of precedence. The last one is the
/// second on a merged /usr, and its own on a base without.
const DIRS: [&str; 3] = [ETC, "/usr/lib/systemd/system", "/lib/systemd/system"];

/// systemd's sign for "never start this".
const MASK: &str = "/dev/null";

/// A unit file: where it is and what it says.
pub(super) struct UnitFile {
    path: String,
    text: String,
}

/// What a unit asks for in its `[Install]` section.
#[derive(Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
}

/// The file of a unit, in the overlay or the base. An instance (`getty@tty1`)
/// has its template's. Masks are looked through.
pub(super) fn find(overlay: &Overlay, base: &dyn BaseView, unit: &str) -> Result<Option<UnitFile>> {
    let template = template(unit);
    for name in [Some(unit), template.as_deref()].into_iter().flatten() {
        for dir in DIRS {
            let path = format!("{dir}/{name}");
            let text = match overlay.get(Part::Root, &path) {
                Some(Change::File { content, .. }) => {
                    let text = content.inline().map(String::from_utf8_lossy);
                    text.map(std::borrow::Cow::into_owned)
                }
                Some(_) => None,
                None => match base.at(&path)? {
                    Some(Kind::Symlink(target)) if target == MASK => None,
                    Some(Kind::File | Kind::Symlink(_)) => base.text(Part::Root, &path)?,
                    _ => None,
                },
            };
            if let Some(text) = text {
                return Ok(Some(UnitFile { path, text }));
            }
        }
    }
    Ok(None)
}

/// Makes the links that the unit's `[Install]` section asks for, and lifts a mask.
pub(super) fn enable(overlay: &mut Overlay, base: &dyn BaseView, unit: &str) -> Result<()> {
    let mut queue = vec![unit.to_owned()];
    let mut seen = Vec::new();
    while let Some(unit) = queue.pop() {
        check_name(&unit)?;
        let Some(file) = find(overlay, base, &unit)? else {
            // `Also=` may name a unit of a package that is not installed.
            ensure!(
                !seen.is_empty(),
                "no unit {unit} in the base or among the files added to it"
            );
            continue;
        };
        let Install {
            wanted_by,
            required_by,
            alias,
            also,
        } = install(&file.text);
        let asks = [&wanted_by, &required_by, &alias]
            .iter()
            .any(|names| !names.is_empty());
        ensure!(
            asks || !seen.is_empty(),
            "the unit {unit} cannot be enabled: no WantedBy=, RequiredBy= or Alias= in {}",
            file.path
        );
        unmask(overlay, base, &unit)?;
        for (targets, kind) in [(wanted_by, "wants"), (required_by, "requires")] {
            for target in targets {
                check_name(&target)?;
                overlay.link(
                    Part::Root,
                    &format!("{ETC}/{target}.{kind}/{unit}"),
                    &file.path,
                );
            }
        }
        for name in alias {
            check_name(&name)?;
            overlay.link(Part::Root, &format!("{ETC}/{name}"), &file.path);
        }
        seen.push(unit);
        queue.extend(also.into_iter().filter(|unit| !seen.contains(unit)));
    }
    Ok(())
}

/// Masks a unit, which even presets respect, and removes the base's links that
/// start it.
pub(super) fn mask(overlay: &mut Overlay, base: &dyn BaseView, unit: &str) -> Result<()> {
    check_name(unit)?;
    let path = format!("{ETC}/{unit}");
    if overlay.get(Part::Root, &path).is_some() || enabled_here(overlay, unit) {
        bail!("the unit {unit} would be both provided or enabled, and masked");
    }
    for link in start_links(base, unit)? {
        overlay.remove(Part::Root, &link);
    }
    overlay.link(Part::Root, &path, MASK);
    Ok(())
}

/// Whether the overlay masks the unit.
pub(super) fn is_masked(overlay: &Overlay, unit: &str) -> bool {
    let change = overlay.get(Part::Root, &format!("{ETC}/{unit}"));
    matches!(change, Some(Change::Symlink { target }) if target == MASK)
}

/// Whether the base has the unit in any form: a file, or a link that starts it.
pub(super) fn in_base(base: &dyn BaseView, unit: &str) -> Result<bool> {
    for dir in DIRS {
        if base.has(&format!("{dir}/{unit}"))? {
            return Ok(true);
        }
    }
    Ok(!start_links(base, unit)?.is_empty())
}

fn start_links(base: &dyn BaseView, unit: &str) -> Result<Vec<String>> {
    let mut links = Vec::new();
    for dir in base.names(ETC)? {
        let link = format!("{ETC}/{dir}/{unit}");
        if (dir.ends_with(".wants") || dir.ends_with(".requires")) && base.has(&link)? {
            links.push(link);
        }
    }
    Ok(links)
}

fn enabled_here(overlay: &Overlay, unit: &str) -> bool {
    overlay.changes(Part::Root).any(|(path, change)| {
        matches!(change, Change::Symlink { .. })
            && path.starts_with(ETC)
            && [".wants/", ".requires/"]
                .iter()
                .any(|dir| path.ends_with(&format!("{dir}{unit}")))
    })
}

fn unmask(overlay: &mut Overlay, base: &dyn BaseView, unit: &str) -> Result<()> {
    ensure!(
        !is_masked(overlay, unit),
        "the unit {unit} would be both enabled and masked"
    );
    let path = format!("{ETC}/{unit}");
    let ours = overlay.get(Part::Root, &path).is_some();
    if !ours && base.at(&path)? == Some(Kind::Symlink(MASK.into())) {
        overlay.remove(Part::Root, &path);
    }
    Ok(())
}

/// A name becomes part of a path: the characters of systemd.unit(5), no others.
fn check_name(unit: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let (stem, suffix) = unit.rsplit_once('.').unwrap_or((unit, ""));
    ensure!(
        unit.bytes().all(known) && !stem.is_empty() && !suffix.is_empty() && unit.len() < 256,
        "{unit:?} is not a unit's name, such as foo.service"
    );
    Ok(())
}

/// `getty@.service` of `getty@tty1.service`; none for a unit without instances.
fn template(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    Some(format!("{prefix}@.{suffix}"))
}

fn install(text: &str) -> Install {
    let mut install = Install::default();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == "[Install]") else {
            continue;
        };
        let list = match key.trim_end() {
            "WantedBy" => &mut install.wanted_by,
            "RequiredBy" => &mut install.required_by,
            "Alias" => &mut install.alias,
            "Also" => &mut install.also,
            _ => continue,
        };
        match value.trim() {
            "" => list.clear(),
            names => list.extend(names.split_whitespace().map(String::from)),
        }
    }
    install
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_sections_are_read() {
        let strings = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        let text = "[Unit]\nWantedBy=not.target\n[Install]\nWantedBy=a.target b.target\n\
                    # comment\nAlias = x.service\nAlso=y.service\nAlso=\n";
        assert_eq!(
            install(text),
            Install {
                wanted_by: strings(&["a.target", "b.target"]),
                alias: strings(&["x.service"]),
                ..Install::default()
            }
        );
    }

    #[test]
    fn an_instance_has_its_template() {
        assert_eq!(
            template("getty@tty1.service").as_deref(),
            Some("getty@.service")
        );
        assert_eq!(template("ssh.service"), None);
    }
}
