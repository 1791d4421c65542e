//! The versions of the peers.

/// The version that the workspace is locked to.
pub(crate) fn version(package: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let after =
        lock.split_once(&format!("name = \"{package}\"\nversion = \"")).map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_known() {
        assert!(version("shuttle").starts_with("0.") && version("loom").starts_with("0."));
    }
}
