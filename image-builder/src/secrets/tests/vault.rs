//! The file: whole, private, changed by one at a time.

use std::fs::{self, File};

use super::*;

fn made(dir: &tempfile::TempDir) -> (PathBuf, Unlock) {
    let (key, recipient) = age_key();
    let path = path(dir.path());
    Vault::create(&path, secrets(), Seal::Recipients(vec![recipient])).expect("made");
    (path, with_key(vec![key]))
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

fn open(path: &Path, unlock: &Unlock) -> Result<Vault, SecretsError> {
    Vault::open(path, CLUSTER, unlock)
}

#[test]
fn a_file_is_made_once_and_private() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).expect("text, for Git");
    assert!(
        text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"),
        "{text}"
    );
    let vault = open(&path, &unlock).expect("opened");
    assert_eq!(vault.secrets().recipients.len(), 1);
    let shown = format!("{vault:?}");
    assert!(
        canaries(vault.secrets())
            .iter()
            .all(|canary| !shown.contains(canary))
    );
    let again = Vault::create(&path, secrets(), Seal::Passphrase("p".into()));
    let again = again.expect_err("there").to_string();
    assert!(again.contains("secrets rotate"), "{again}");
    assert_eq!(fs::read_to_string(&path).expect("file"), text, "left alone");
    assert_eq!(names(dir.path()), ["secrets.age"]);
}

#[test]
fn a_change_is_there_for_the_next_one() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    let mut vault = open(&path, &unlock).expect("opened");
    let rng = &mut crate::secret::fixture::Sequence(1 << 52);
    vault
        .change(|secrets| secrets.rotate(rng, &What::AgentToken))
        .expect("changed");
    vault
        .change(|secrets| secrets.rotate(rng, &What::ServerToken))
        .expect("again");
    let next = open(&path, &unlock).expect("opened");
    assert_eq!(*next.secrets().render(), *vault.secrets().render());
    assert_ne!(next.secrets().agent_token, secrets().agent_token);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(dir.path()), ["secrets.age"]);
}

#[test]
fn what_fails_changes_nothing() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    let before = fs::read(&path).expect("file");
    let mut vault = open(&path, &unlock).expect("opened");
    let failed = vault.change(|secrets| {
        secrets.agent_token = "other000000000000".into();
        Err::<(), _>(SecretsError::NoNode("pi-9".into()))
    });
    failed.expect_err("as told");
    assert_eq!(vault.secrets().agent_token, secrets().agent_token);
    assert_eq!(fs::read(&path).expect("file"), before);
}

#[test]
fn of_two_writers_the_second_looks_again() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    let [mut first, mut second] = [(); 2].map(|()| open(&path, &unlock).expect("opened"));
    let change = |vault: &mut Vault, token: &str| {
        vault.change(|secrets| {
            secrets.agent_token = token.into();
            Ok(())
        })
    };
    change(&mut first, "first00000000000").expect("changed");
    let late = change(&mut second, "second0000000000").expect_err("late");
    assert!(matches!(late, SecretsError::Changed(_)), "{late}");
    let held = File::open(&path).expect("file");
    held.try_lock().expect("locked");
    let busy = change(&mut first, "third00000000000").expect_err("busy");
    assert!(matches!(busy, SecretsError::Busy(_)), "{busy}");
    drop(held);
    change(&mut first, "third00000000000").expect("changed");
    let now = open(&path, &unlock).expect("opened");
    assert_eq!(now.secrets().agent_token.expose(), "third00000000000");
    fs::remove_file(&path).expect("removed");
    let gone = change(&mut first, "fourth0000000000").expect_err("gone");
    assert!(matches!(gone, SecretsError::Changed(_)), "{gone}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn many_writers_lose_nothing() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    let writers = 4;
    std::thread::scope(|scope| {
        for number in 0..writers {
            let (path, unlock) = (&path, unlock.clone());
            scope.spawn(move || {
                loop {
                    let mut vault = open(path, &unlock).expect("opened");
                    let changed = vault.change(|secrets| {
                        let token = format!("writer{number}0000000000");
                        secrets.former_server_tokens.push(Secret::new(token));
                        Ok(())
                    });
                    match changed {
                        Ok(()) => break,
                        Err(SecretsError::Busy(_) | SecretsError::Changed(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let vault = open(&path, &unlock).expect("opened");
    let mut tokens: Vec<_> = vault.secrets().former_server_tokens[1..].iter().collect();
    tokens.sort_by_key(|token| token.expose().to_owned());
    tokens.dedup();
    assert_eq!(tokens.len(), writers);
}

#[test]
fn rekeying_changes_who_opens_it() {
    let dir = dir();
    let (path, old) = made(&dir);
    let mut vault = open(&path, &old).expect("opened");
    let (key, recipient) = age_key();
    vault
        .rekey(Seal::Recipients(vec![recipient.clone()]))
        .expect("rekeyed");
    open(&path, &old).expect_err("not any more");
    let mut vault = open(&path, &with_key(vec![key.clone()])).expect("opened");
    assert_eq!(vault.secrets().recipients, [recipient]);
    vault
        .rekey(Seal::Passphrase("canary".into()))
        .expect("rekeyed");
    open(&path, &with_key(vec![key])).expect_err("not any more");
    let mut vault = open(&path, &given("canary")).expect("opened");
    assert!(!format!("{vault:?}").contains("canary"));
    assert!(vault.secrets().recipients.is_empty());
    // Written again, it is still for the passphrase.
    vault.change(|_| Ok(())).expect("changed");
    open(&path, &given("canary")).expect("opened");
}

#[test]
fn what_cannot_be_ours_is_refused() {
    let dir = dir();
    let (path, unlock) = made(&dir);
    let other = Vault::open(&path, Uuid::from_u128(7), &unlock)
        .expect_err("other")
        .to_string();
    for id in [CLUSTER, Uuid::from_u128(7)] {
        assert!(other.contains(&id.to_string()), "{other}");
    }
    let (key, recipient) = age_key();
    let unlock = with_key(vec![key]);
    let seal = Seal::Recipients(vec![recipient]);
    let put = |text: &str| fs::write(&path, seal.close(text.as_bytes()).expect("encrypted"));
    let text = secrets().render();
    for (changed, said) in [
        ("canary".to_owned(), "damaged: line 1 "),
        (text.replace("version = 1", "version = 9"), "has version 9"),
        (text.to_string(), "does not say for whom"),
    ] {
        put(&changed).expect("written");
        let error = open(&path, &unlock).expect_err(said);
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains(said) && shown.contains("secrets.age"),
            "{shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
    fs::write(&path, "canary").expect("written");
    let error = open(&path, &unlock).expect_err("not age").to_string();
    assert!(error.contains("not a file that age encrypted"), "{error}");
    fs::remove_file(&path).expect("removed");
    let missing = open(&path, &unlock).expect_err("missing").to_string();
    assert!(missing.contains("secrets init"), "{missing}");
}
