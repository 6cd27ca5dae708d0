//! The password for sudo: one question for all nodes, and only if one of them asks. It is never in an argument, on
//! disk or in a message.

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::cause::Cause;
use crate::exit::Failure;
use crate::output::Still;

/// Where the password comes from, and the password once it is known.
#[derive(Debug)]
pub struct Password {
    source: Source,
    /// Held while the operator is asked something, so that two questions do not mix.
    known: Mutex<Option<SecretString>>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Terminal,
    Nobody,
}

impl Password {
    /// From a file, or else from whoever sits at the terminal, if there is one.
    pub fn from(file: Option<&Path>) -> Password {
        let source = match file {
            Some(file) => Source::File(file.to_owned()),
            None if io::stdin().is_terminal() && io::stderr().is_terminal() => Source::Terminal,
            None => Source::Nobody,
        };
        let known = Mutex::new(None);
        Password { source, known }
    }

    /// Whether there is somebody to ask.
    pub(crate) fn may_ask(&self) -> bool {
        matches!(self.source, Source::Terminal)
            || (matches!(self.source, Source::File(_)) && io::stdin().is_terminal())
    }

    /// Whether the operator is being asked something now.
    pub(crate) fn is_asking(&self) -> bool {
        self.known.try_lock().is_err()
    }

    /// Does something for which the operator's terminal is needed alone.
    pub(crate) async fn alone<T, F: Future<Output = T>>(&self, work: impl FnOnce() -> F) -> T {
        let _asking = self.known.lock().await;
        let _still = Still::new();
        work().await
    }

    /// The password; asks once.
    ///
    /// # Errors
    /// There is nobody to ask, or the file cannot be used.
    pub(crate) async fn get(&self) -> Result<SecretString, Cause> {
        let mut known = self.known.lock().await;
        if let Some(password) = &*known {
            return Ok(password.clone());
        }
        let password = match &self.source {
            Source::Nobody => return Err(Cause::SudoAsks),
            Source::File(file) => read(file).map_err(|_| Cause::SudoAsks)?,
            Source::Terminal => {
                let _still = Still::new();
                let asking = tokio::task::spawn_blocking(|| {
                    rpassword::prompt_password("Password for sudo on the nodes: ")
                });
                let answered = asking.await.ok().and_then(Result::ok);
                answered.map(SecretString::from).ok_or(Cause::SudoAsks)?
            }
        };
        *known = Some(password.clone());
        Ok(password)
    }

    /// The password, if nobody has to be asked for it.
    ///
    /// # Errors
    /// Somebody would have to be asked, or the file cannot be used.
    pub(crate) async fn known(&self) -> Result<SecretString, Cause> {
        if matches!(self.source, Source::File(_)) {
            return self.get().await;
        }
        self.known.lock().await.clone().ok_or(Cause::SudoAsks)
    }

    /// Looks at the file before anything is connected.
    ///
    /// # Errors
    /// It cannot be read, is empty, or others can read it.
    pub fn check(&self) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let Source::File(file) = &self.source else {
            return Ok(());
        };
        let name = file.display();
        let failed = |error: io::Error| {
            Failure::usage(format!(
                "could not read --sudo-password-file {name}: {error}"
            ))
        };
        let mode = std::fs::metadata(file)
            .map_err(failed)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(Failure::usage(format!(
                "--sudo-password-file {name} can be read by others\n  help: chmod 600 {name}"
            )));
        }
        read(file).map(drop).map_err(failed)
    }
}

/// The first line of the file.
fn read(file: &Path) -> io::Result<SecretString> {
    let text = SecretString::from(std::fs::read_to_string(file)?);
    use secrecy::ExposeSecret as _;
    match text.expose_secret().lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => Err(io::Error::other("its first line is empty")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn a_password_file_is_for_its_owner_alone_and_not_empty() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let password = Password::from(Some(&file));
        assert!(
            password
                .check()
                .unwrap_err()
                .text
                .contains("could not read")
        );
        for (content, mode, wrong) in [
            ("hunter2\n", 0o600, None),
            ("hunter2\n", 0o640, Some("chmod 600")),
            ("\nhunter2", 0o600, Some("empty")),
        ] {
            std::fs::write(&file, content).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            match (password.check(), wrong) {
                (Ok(()), None) => {}
                (Err(failure), Some(wrong)) => {
                    assert!(failure.text.contains(wrong), "{failure}");
                    assert!(!failure.text.contains("hunter2"), "{failure}");
                }
                (checked, _) => panic!("{content:?}: {checked:?}"),
            }
        }
        std::fs::write(&file, "hunter2\nmore\n").unwrap();
        let got = password.get().await.unwrap();
        assert_eq!(got.expose_secret(), "hunter2");
        assert!(!format!("{password:?}").contains("hunter2"));
    }
}
