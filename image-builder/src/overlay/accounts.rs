//! The account files, passwd(5) and its kin, edited as text: what is not
//! understood stays byte for byte, and only the lines meant change.

use std::ops::RangeInclusive;

use anyhow::{Context as _, Result, ensure};

use super::table::Table;
use super::{BaseView, Change, Overlay, Owner, Part};

const PASSWD: &str = "/etc/passwd";
const SHADOW: &str = "/etc/shadow";
const GROUP: &str = "/etc/group";
const GSHADOW: &str = "/etc/gshadow";
/// Both are rendered alike; either may be missing.
const SUBORDINATE: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// The first id and the number of ids that `useradd` gives away.
const SUB_FIRST: u64 = 100_000;
const SUB_COUNT: u64 = 65_536;

/// The ids that Debian gives to people (`FIRST_UID` and `LAST_UID` of adduser.conf(5)).
const PEOPLE: RangeInclusive<u32> = 1000..=59_999;

/// A user as passwd(5) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) owner: Owner,
    pub(super) home: String,
}

/// All account files of a base.
pub(super) struct Accounts {
    passwd: Table,
    shadow: Table,
    group: Table,
    gshadow: Option<Table>,
    subordinate: Vec<Table>,
}

impl Accounts {
    pub(super) fn read(base: &dyn BaseView) -> Result<Self> {
        let need = |path, fields| {
            Table::read(base, path, fields)?.with_context(|| format!("the base has no {path}"))
        };
        let mut subordinate = Vec::new();
        for path in SUBORDINATE {
            subordinate.extend(Table::read(base, path, 3)?);
        }
        Ok(Self {
            passwd: need(PASSWD, 7)?,
            shadow: need(SHADOW, 9)?,
            group: need(GROUP, 4)?,
            gshadow: Table::read(base, GSHADOW, 4)?,
            subordinate,
        })
    }

    pub(super) fn with_uid(&self, uid: u32) -> Result<Option<Account>> {
        let Some(row) = self.passwd.records().find(|row| row[2] == uid.to_string()) else {
            return Ok(None);
        };
        let [name, _, _, gid, _, home, _] = row[..] else {
            return Ok(None);
        };
        let gid = gid
            .parse()
            .with_context(|| format!("{PASSWD}: the group of {name} is {gid:?}"))?;
        Ok(Some(Account {
            name: name.into(),
            owner: Owner { uid, gid },
            home: home.into(),
        }))
    }

    /// The accounts of people, not of services. A line that is none is passed over.
    pub(super) fn people(&self) -> Vec<Account> {
        let person = |row: Vec<&str>| {
            let uid = row[2].parse().ok().filter(|uid| PEOPLE.contains(uid))?;
            Some(Account {
                name: row[0].into(),
                owner: Owner {
                    uid,
                    gid: row[3].parse().ok()?,
                },
                home: row[5].into(),
            })
        };
        self.passwd.records().filter_map(person).collect()
    }

    pub(super) fn has_user(&self, name: &str) -> bool {
        self.passwd.has(name)
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.group.has(name)
    }

    /// Adds a key-only user with a group of the same name. Uid and gid are the
    /// same number, the first from `from` that is free as both.
    pub(super) fn create(&mut self, name: &str, home: &str, from: u32) -> Result<Account> {
        ensure!(
            !self.has_user(name),
            "the base already has a user {name}; choose another name"
        );
        ensure!(
            !self.has_group(name),
            "the base already has a group {name}; choose another name"
        );
        let taken = |id: u32| {
            let id = id.to_string();
            [&self.passwd, &self.group]
                .iter()
                .any(|table| table.records().any(|row| row[2] == id))
        };
        let id = (from..=*PEOPLE.end())
            .find(|id| !taken(*id))
            .context("the base has no free user id")?;
        let number = id.to_string();
        self.passwd
            .push(&[name, "x", &number, &number, "", home, "/bin/bash"]);
        self.shadow.push(&key_only(name));
        self.group.push(&[name, "x", &number, ""]);
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.push(&[name, "!", "", ""]);
        }
        for table in &mut self.subordinate {
            let ends = table.records().filter_map(|row| {
                Some(
                    row[1]
                        .parse::<u64>()
                        .ok()?
                        .saturating_add(row[2].parse().ok()?),
                )
            });
            let start = ends.max().unwrap_or(0).max(SUB_FIRST);
            table.push(&[name, &start.to_string(), &SUB_COUNT.to_string()]);
        }
        Ok(Account {
            name: name.into(),
            owner: Owner { uid: id, gid: id },
            home: home.into(),
        })
    }

    /// Makes an account a key-only one of another name: what `userconf` does on
    /// a running system. Ids stay, so every file keeps its owner.
    pub(super) fn take_over(&mut self, stock: &Account, name: &str, home: &str) -> Result<Account> {
        if stock.name != name {
            ensure!(
                !self.has_user(name),
                "the base already has a user {name}; choose another name"
            );
            ensure!(
                !self.has_group(name),
                "the base already has a group {name}; choose another name"
            );
        }
        self.passwd.edit(&stock.name, |fields| {
            fields[0] = name.into();
            fields[1] = "x".into();
            fields[5] = home.into();
            // Images since 2026-04-13 say nologin here.
            fields[6] = "/bin/bash".into();
        });
        // The whole line is ours: an old expiry or "change at next login" would
        // turn a key away as surely as a locked password.
        self.shadow.remove(&stock.name);
        self.shadow.push(&key_only(name));
        let tables = [Some(&mut self.group), self.gshadow.as_mut()];
        for table in tables.into_iter().flatten().chain(&mut self.subordinate) {
            table.edit(&stock.name, |fields| fields[0] = name.into());
        }
        self.edit_members(|_, members| {
            for member in members.iter_mut().filter(|member| **member == stock.name) {
                *member = name.into();
            }
        });
        Ok(Account {
            name: name.into(),
            owner: stock.owner,
            home: home.into(),
        })
    }

    /// Puts the user into those of the groups that exist.
    pub(super) fn join(&mut self, name: &str, groups: &[&str]) {
        self.edit_members(|group, members| {
            if groups.contains(&group) && !members.iter().any(|member| member == name) {
                members.push(name.into());
            }
        });
    }

    /// Takes the user out of a group.
    pub(super) fn leave(&mut self, name: &str, from: &str) {
        self.edit_members(|group, members| {
            if group == from {
                members.retain(|member| member != name);
            }
        });
    }

    /// Adds the files to the overlay.
    pub(super) fn write(&self, overlay: &mut Overlay) {
        // The shadow files are read by set-group-id programs, by that group only.
        let gid = self
            .group
            .find("shadow")
            .and_then(|row| row[2].parse().ok())
            .unwrap_or(0);
        let shadow = Owner { uid: 0, gid };
        let Self {
            passwd,
            shadow: shadows,
            group,
            gshadow,
            subordinate,
        } = self;
        let open = [passwd, group].into_iter().chain(subordinate);
        let closed = [Some(shadows), gshadow.as_ref()].into_iter().flatten();
        let files = open
            .map(|table| (table, 0o644, Owner::ROOT))
            .chain(closed.map(|table| (table, 0o640, shadow)));
        for (table, mode, owner) in files {
            let content = table.render().into();
            // Not shown: a base made by someone else may hold password hashes.
            let secret = mode == 0o640;
            overlay.set(
                Part::Root,
                table.path,
                Change::File {
                    mode,
                    owner,
                    content,
                    secret,
                },
            );
        }
    }

    fn edit_members(&mut self, change: impl Fn(&str, &mut Vec<String>)) {
        for table in [Some(&mut self.group), self.gshadow.as_mut()]
            .into_iter()
            .flatten()
        {
            table.edit_each(|fields| {
                let split = fields[3].split(',').filter(|name| !name.is_empty());
                let before: Vec<String> = split.map(String::from).collect();
                let mut members = before.clone();
                change(&fields[0], &mut members);
                if members != before {
                    fields[3] = members.join(",");
                }
            });
        }
    }
}

/// A shadow line without a password. `*` and not `!`: sshd without PAM takes the
/// latter for a locked account and refuses its keys. No day of the last change:
/// it would be the day of the build, and 0 would demand a new password.
fn key_only(name: &str) -> [&str; 9] {
    [name, "*", "", "0", "99999", "7", "", "", ""]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base with two users' worth of traps.
    fn accounts() -> Accounts {
        Accounts {
            passwd: Table::parse(
                PASSWD,
                7,
                "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/usr/sbin/nologin\n\
                 # a comment: kept\nbroken:line\npip:x:1001:1001::/home/pip:/bin/sh\n",
            ),
            shadow: Table::parse(
                SHADOW,
                9,
                "root:*:20000:0:99999:7:::\npi:!:0:0:99999:7::1:\n",
            ),
            group: Table::parse(
                GROUP,
                4,
                "root:x:0:\nsudo:x:27:pi,pip\nshadow:x:42:\npi:x:1000:\npip:x:1001:\nvideo:x:44:pip,pi\n",
            ),
            gshadow: Some(Table::parse(
                GSHADOW,
                4,
                "sudo:*::pi,pip\nvideo:*::pip,pi\npi:!::\n",
            )),
            subordinate: vec![Table::parse("/etc/subuid", 3, "pi:100000:65536")],
        }
    }

    #[test]
    fn a_rename_changes_the_name_and_nothing_that_looks_like_it() {
        let mut all = accounts();
        let stock = all.with_uid(1000).expect("numbers").expect("pi");
        let admin = all
            .take_over(&stock, "admin", "/home/admin")
            .expect("free name");
        assert_eq!(
            admin.owner,
            Owner {
                uid: 1000,
                gid: 1000
            }
        );
        assert_eq!(
            all.passwd.render(),
            "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000:,,,:/home/admin:/bin/bash\n\
             # a comment: kept\nbroken:line\npip:x:1001:1001::/home/pip:/bin/sh\n"
        );
        assert_eq!(
            all.shadow.render(),
            "root:*:20000:0:99999:7:::\nadmin:*::0:99999:7:::\n"
        );
        assert_eq!(
            all.group.render(),
            "root:x:0:\nsudo:x:27:admin,pip\nshadow:x:42:\nadmin:x:1000:\npip:x:1001:\nvideo:x:44:pip,admin\n"
        );
        let gshadow = all.gshadow.as_ref().expect("there").render();
        assert_eq!(
            gshadow,
            "sudo:*::admin,pip\nvideo:*::pip,admin\nadmin:!::\n"
        );
        assert_eq!(all.subordinate[0].render(), "admin:100000:65536\n");
    }

    #[test]
    fn a_new_user_gets_free_ids_after_those_taken() {
        let mut all = accounts();
        let eve = all.create("eve", "/home/eve", 1000).expect("free");
        assert_eq!(
            eve.owner,
            Owner {
                uid: 1002,
                gid: 1002
            }
        );
        all.join("eve", &["video", "gpio"]);
        all.leave("pi", "sudo");
        assert!(
            all.group
                .render()
                .ends_with("video:x:44:pip,pi,eve\neve:x:1002:\n")
        );
        assert!(all.group.render().contains("sudo:x:27:pip\n"));
        assert!(
            all.subordinate[0]
                .render()
                .ends_with("\neve:165536:65536\n")
        );
        for taken in ["root", "sudo", "pip"] {
            assert!(all.create(taken, "/home/x", 1000).is_err(), "{taken}");
        }
    }

    #[test]
    fn the_shadow_files_belong_to_their_group() {
        let mut overlay = Overlay::default();
        accounts().write(&mut overlay);
        let shown = overlay.to_text();
        assert!(
            shown.contains("root:/etc/shadow file 0640 0:42 "),
            "{shown}"
        );
        assert!(
            shown.contains("root:/etc/gshadow file 0640 0:42 "),
            "{shown}"
        );
        assert!(shown.contains("root:/etc/group file 0644 0:0 "), "{shown}");
    }
}
