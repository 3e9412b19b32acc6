//! The symbolic links in paths of a system: one walk for whoever looks into a file
//! system that is not at `/`, or must know where a path leads before writing there.

/// A path that a system leads in a circle, or wants to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} has too many links in it")]
pub struct LinkLoop(String);

/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Whether a link that a path ends in is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is: what it leads to is meant.
    Followed,
    /// It is not: the link itself is meant.
    Kept,
}

/// Where an absolute path leads, without a link in it; the root is empty.
/// `target` is asked for the target of what lies at a path, `None` if that is no
/// link, and is only ever given paths whose directories are not links.
///
/// # Errors
/// [`LinkLoop`] when there are more links than the kernel follows; and when
/// `target` fails.
pub fn follow<E: From<LinkLoop>>(
    path: &str,
    last: Last,
    mut target: impl FnMut(&str) -> Result<Option<String>, E>,
) -> Result<String, E> {
    let mut rest: Vec<String> = path.rsplit('/').map(String::from).collect();
    let mut done = String::new();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match name.as_str() {
            "" | "." => continue,
            // Above the root is the root.
            ".." => {
                done.truncate(done.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let next = format!("{done}/{name}");
        let meant = last == Last::Kept && rest.is_empty();
        match if meant { None } else { target(&next)? } {
            None => done = next,
            Some(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(LinkLoop(path.to_owned()).into());
                }
                if target.starts_with('/') {
                    done.clear();
                }
                rest.extend(target.rsplit('/').map(String::from));
            }
        }
    }
    Ok(done)
}
