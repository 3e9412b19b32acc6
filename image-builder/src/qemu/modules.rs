//! Kernel modules, as far as an initial RAM disk has to know them: what each needs,
//! and in which order they can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

/// No module unpacked has more; the largest are those of graphics cards.
const LARGEST: u64 = 64 << 20;

/// Modules of one kernel by their names, packed as the package has them.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<String, Packed>);

#[derive(Debug)]
struct Packed {
    file: String,
    bytes: Vec<u8>,
}

impl Modules {
    /// Takes a file of the kernel's tree in, if it is a module.
    pub(super) fn add(&mut self, path: &str, bytes: &[u8]) {
        let file = path.rsplit('/').next().unwrap_or(path);
        if let Some(name) = name(file) {
            let packed = Packed {
                file: file.to_owned(),
                bytes: bytes.to_vec(),
            };
            self.0.insert(name, packed);
        }
    }

    /// What to load, unpacked, in an order in which each finds what it needs. A
    /// name without a file is built into the kernel.
    ///
    /// # Errors
    /// When a module cannot be unpacked.
    pub(super) fn in_order(&self, wanted: &[&str]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for name in wanted {
            self.load(name, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn load<'a>(
        &'a self,
        name: &str,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<(String, Vec<u8>)>,
    ) -> io::Result<()> {
        let Some((name, packed)) = self.0.get_key_value(name) else {
            return Ok(());
        };
        if !seen.insert(name) {
            return Ok(());
        }
        let bytes = packed.unpack()?;
        for needed in needs(&bytes) {
            self.load(&needed, seen, order)?;
        }
        order.push((name.clone(), bytes));
        Ok(())
    }
}

impl Packed {
    fn unpack(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let from = self.bytes.as_slice();
        match self.file.rsplit('.').next() {
            Some("xz") => liblzma::read::XzDecoder::new(from)
                .take(LARGEST)
                .read_to_end(&mut bytes)?,
            Some("zst") => zstd::Decoder::new(from)?
                .take(LARGEST)
                .read_to_end(&mut bytes)?,
            _ => from.take(LARGEST).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

/// A module's name, of its file's: `-` and `_` are the same (modprobe(8)).
fn name(file: &str) -> Option<String> {
    let (stem, end) = file.split_once(".ko")?;
    matches!(end, "" | ".xz" | ".zst").then(|| stem.replace('-', "_"))
}

/// The modules that this one cannot be loaded without: `depends=` in its section
/// `.modinfo`, which is made of strings that end in NUL (modinfo(8)).
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else {
        return Vec::new();
    };
    let rest = &module[at + KEY.len()..];
    let end = rest.iter().position(|&byte| byte == 0);
    let list = String::from_utf8_lossy(&rest[..end.unwrap_or(0)]);
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn module(depends: &str) -> Vec<u8> {
        format!("\x7fELF license=GPL\0depends={depends}\0name=x\0").into_bytes()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(bytes).expect("packed");
        encoder.finish().expect("packed")
    }

    #[test]
    fn each_comes_after_what_it_needs_and_once() {
        let mut modules = Modules::default();
        modules.add("kernel/fs/ext4/ext4.ko.xz", &xz(&module("jbd2,mbcache")));
        modules.add("kernel/fs/jbd2/jbd2.ko", &module(""));
        modules.add("kernel/fs/mbcache.ko", &module(""));
        modules.add(
            "kernel/drivers/usb/usb-storage.ko",
            &module("scsi-mod,built_in"),
        );
        modules.add("kernel/drivers/scsi/scsi_mod.ko", &module("jbd2"));
        modules.add("modules.order", b"");
        let order = modules.in_order(&["ext4", "not_there", "usb_storage", "jbd2"]);
        let order = order.expect("unpacked");
        let names: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["jbd2", "mbcache", "ext4", "scsi_mod", "usb_storage"]
        );
        assert!(order.iter().all(|(_, bytes)| bytes.starts_with(b"\x7fELF")));
    }

    #[test]
    fn a_circle_ends() {
        let mut modules = Modules::default();
        modules.add("a.ko", &module("b"));
        modules.add("b.ko", &module("a"));
        assert_eq!(modules.in_order(&["a"]).expect("read").len(), 2);
    }

    #[test]
    fn damaged_is_an_error() {
        let mut modules = Modules::default();
        modules.add("a.ko.xz", b"no xz");
        modules.in_order(&["a"]).expect_err("no xz");
        assert_eq!(needs(b"\0depends=a"), Vec::<String>::new());
    }
}
