//! Sheet, script and mark of the pages, under names that change with their content.

use aws_lc_rs::digest;

use crate::encoding::hex;

const SHEET: &str = include_str!("../../config/pages/munjigi.css");
const SCRIPT: &str = include_str!("../../config/pages/pages.js");
const MARK: &str = include_str!("../../config/pages/mark.svg");

/// A file that pages load.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its name after the prefix: `assets/NAME.HASH.EXTENSION`.
    pub(crate) path: String,
    /// Its media type.
    pub(crate) kind: &'static str,
    /// Its content.
    pub(crate) content: &'static str,
}

/// The files that pages load.
#[derive(Debug)]
pub(crate) struct Assets {
    /// The sheet.
    pub(crate) sheet: Asset,
    /// The script, without which everything works.
    pub(crate) script: Asset,
    /// The mark.
    pub(crate) mark: Asset,
}

impl Assets {
    /// The built-in files.
    pub(crate) fn built_in() -> Self {
        Self {
            sheet: Asset::new("munjigi", "css", "text/css; charset=utf-8", SHEET),
            script: Asset::new("pages", "js", "text/javascript; charset=utf-8", SCRIPT),
            mark: Asset::new("mark", "svg", "image/svg+xml", MARK),
        }
    }

    /// The file of a name after the prefix.
    pub(crate) fn find(&self, name: &str) -> Option<&Asset> {
        let Self { sheet, script, mark } = self;
        [sheet, script, mark].into_iter().find(|asset| asset.file_name() == name)
    }
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = digest::digest(&digest::SHA256, content.as_bytes());
        let hash = hex(digest.as_ref().get(..8).unwrap_or_default());
        Self { path: format!("/assets/{name}.{hash}.{extension}"), kind, content }
    }

    fn file_name(&self) -> &str {
        self.path.strip_prefix("/assets/").unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::Assets;

    #[test]
    fn a_file_is_found_by_its_name_alone() {
        let assets = Assets::built_in();
        let name = assets.sheet.path.strip_prefix("/assets/").unwrap();

        assert_eq!(assets.find(name).unwrap().kind, "text/css; charset=utf-8");
        assert!(assets.find("munjigi.css").is_none());
        assert!(assets.find("").is_none());
    }
}
