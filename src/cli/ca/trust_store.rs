//! The stores of trusted authorities: the system's, and those of browsers (NSS databases).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Authority;
use super::program;

/// A store of trusted authorities.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrustStore {
    /// A folder of the system's, and the program that takes changes of it up.
    Folder {
        /// The authority's file in it.
        file: PathBuf,
        /// The program and its arguments.
        update: &'static [&'static str],
    },
    /// An NSS database.
    Nss {
        /// Whose it is.
        browser: &'static str,
        /// Its folder.
        folder: PathBuf,
    },
    /// A system whose store is not known; it is changed by hand.
    Unknown,
}

/// The systems' folders: those of Debian and of Fedora.
const FOLDERS: [(&str, &[&str]); 2] = [
    ("usr/local/share/ca-certificates", &["update-ca-certificates"]),
    ("etc/pki/ca-trust/source/anchors", &["update-ca-trust", "extract"]),
];

/// Folders with Firefox' profiles, in a home.
const PROFILES: [&str; 3] = [
    ".mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    "Library/Application Support/Firefox/Profiles",
];

impl TrustStore {
    /// The system's store.
    pub(super) fn of_system(root: &Path, authority: &Authority) -> Option<Self> {
        let known = FOLDERS.iter().find(|(folder, _)| root.join(folder).is_dir());
        Some(known.map_or(Self::Unknown, |(folder, update)| Self::Folder {
            file: root.join(folder).join(format!("munjigi-dev-{}.crt", authority.hash)),
            update,
        }))
    }

    /// The stores of the browsers of a user: Chromium's, and one of each profile of Firefox.
    pub(super) fn of_browsers(home: &Path) -> Vec<Self> {
        let chromium = Self::Nss { browser: "Chromium", folder: home.join(".pki/nssdb") };
        let profiles = PROFILES.iter().filter_map(|folder| fs::read_dir(home.join(folder)).ok());
        let profiles = profiles.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut profiles: Vec<PathBuf> =
            profiles.filter(|profile| profile.join("cert9.db").is_file()).collect();
        profiles.sort();
        let firefox = profiles.into_iter().map(|folder| Self::Nss { browser: "Firefox", folder });
        std::iter::once(chromium).chain(firefox).collect()
    }

    /// Puts the authority in; says where it is.
    ///
    /// # Errors
    /// Says why it could not, and what to type instead.
    pub(super) async fn trust(&self, authority: &Authority) -> anyhow::Result<String> {
        match self {
            Self::Folder { file, update } => {
                let by_hand = || format!("as root: {}", copying(authority, file, update));
                fs::copy(&authority.file, file).with_context(by_hand)?;
                run(update).await.with_context(by_hand)?;
                Ok(file.display().to_string())
            }
            Self::Nss { folder, .. } => {
                needs_certutil()?;
                let database = database(folder)?;
                if !folder.join("cert9.db").is_file() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("{} cannot be made", folder.display()))?;
                    program::run("certutil", &["-N", "-d", &database, "--empty-password"]).await?;
                }
                // Once more under its name would be a second entry.
                drop(remove(&database, authority).await);
                let file = path_text(&authority.file)?;
                let name = authority.name.as_str();
                let put = ["-A", "-d", &database, "-t", "C,,", "-n", name, "-i", file];
                program::run("certutil", &put).await?;
                Ok(folder.display().to_string())
            }
            Self::Unknown => bail!("add {} to it by hand", authority.file.display()),
        }
    }

    /// Takes the authority out, where it is in; says from where.
    ///
    /// # Errors
    /// Says why it could not, and what to type instead.
    pub(super) async fn untrust(&self, authority: &Authority) -> anyhow::Result<String> {
        match self {
            Self::Folder { file, update } => {
                if !file.exists() {
                    return Ok("it was not there".to_owned());
                }
                let (path, update_words) = (file.display(), update.join(" "));
                let by_hand = || format!("as root: rm {path} && {update_words}");
                fs::remove_file(file).with_context(by_hand)?;
                run(update).await.with_context(by_hand)?;
                Ok(file.display().to_string())
            }
            Self::Nss { folder, .. } => {
                if !folder.join("cert9.db").is_file() {
                    return Ok("it was not there".to_owned());
                }
                needs_certutil()?;
                let database = database(folder)?;
                // Listed first: a failure to delete is then one, and not an absence.
                let look = ["-L", "-d", &database, "-n", &authority.name];
                if program::run("certutil", &look).await.is_err() {
                    return Ok("it was not there".to_owned());
                }
                remove(&database, authority).await?;
                Ok(folder.display().to_string())
            }
            Self::Unknown => bail!("take {} out of it by hand", authority.file.display()),
        }
    }
}

fn copying(authority: &Authority, file: &Path, update: &[&str]) -> String {
    format!("cp {} {} && {}", authority.file.display(), file.display(), update.join(" "))
}

async fn run(words: &[&str]) -> anyhow::Result<()> {
    let (name, arguments) = words.split_first().context("no program")?;
    program::run(name, arguments).await
}

async fn remove(database: &str, authority: &Authority) -> anyhow::Result<()> {
    program::run("certutil", &["-D", "-d", database, "-n", &authority.name]).await
}

fn needs_certutil() -> anyhow::Result<()> {
    match program::find("certutil") {
        Some(_) => Ok(()),
        None => bail!(
            "needs `certutil`: apt-get install libnss3-tools, dnf install nss-tools, or brew install nss"
        ),
    }
}

/// A database as NSS names it.
fn database(folder: &Path) -> anyhow::Result<String> {
    Ok(format!("sql:{}", path_text(folder)?))
}

fn path_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{}: the name is no UTF-8", path.display()))
}

impl fmt::Display for TrustStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { .. } | Self::Unknown => formatter.write_str("system"),
            Self::Nss { browser, .. } => formatter.write_str(browser),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Authority, TrustStore};

    #[tokio::test]
    async fn the_systems_store_is_found_by_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let authority = Authority {
            file: root.path().join("ca.pem"),
            name: "Munjigi local authority 01020304".to_owned(),
            hash: "01020304".to_owned(),
        };
        let unknown = TrustStore::of_system(root.path(), &authority).unwrap();
        assert_eq!(unknown, TrustStore::Unknown);
        let said = unknown.trust(&authority).await.unwrap_err().to_string();
        assert!(said.contains("ca.pem to it by hand"), "{said}");

        let folder = root.path().join("etc/pki/ca-trust/source/anchors");
        fs::create_dir_all(&folder).unwrap();
        let store = TrustStore::of_system(root.path(), &authority).unwrap();

        let file = folder.join("munjigi-dev-01020304.crt");
        let update: &[&str] = &["update-ca-trust", "extract"];
        assert_eq!(store, TrustStore::Folder { file, update });
        // There is no authority to copy: the way by hand is told.
        let said = format!("{:#}", store.trust(&authority).await.unwrap_err());
        assert!(said.starts_with("as root: cp ") && said.contains("update-ca-trust"), "{said}");
        assert_eq!(store.untrust(&authority).await.unwrap(), "it was not there");
    }

    #[test]
    fn every_profile_of_firefox_has_a_store() {
        let home = tempfile::tempdir().unwrap();
        for (profile, is_one) in [("a.default", true), ("b.work", true), ("Crash Reports", false)] {
            let folder = home.path().join(".mozilla/firefox").join(profile);
            fs::create_dir_all(&folder).unwrap();
            if is_one {
                fs::write(folder.join("cert9.db"), "").unwrap();
            }
        }

        let stores = TrustStore::of_browsers(home.path());

        let names: Vec<_> = stores.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["Chromium", "Firefox", "Firefox"]);
    }
}
