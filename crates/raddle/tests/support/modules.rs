//! Finds the dependencies between the files of a crate.
#![allow(unreachable_pub, reason = "shared between test binaries")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The files of a crate by their path in `src`, with `/` as the separator.
pub type Tree = BTreeMap<String, String>;

/// The path from the root of the crate to a module or an item.
type Names = Vec<String>;

/// Reads all Rust files in `src`.
pub fn read(src: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).expect("it is below").to_str().expect("a plain name");
                let text = std::fs::read_to_string(&path).expect("a source");
                tree.insert(name.replace('\\', "/"), text);
            }
        }
    }
    tree
}

/// Splits a file into tokens, without comments, literals and lifetimes.
pub fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(&rest[..length]);
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push(&rest[..length]);
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of a block comment, which may be nested.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        match text.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of the string, character or lifetime that begins here, if any.
fn literal(text: &str) -> Option<usize> {
    let plain = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r').filter(|_| prefix <= 1) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", &raw[..hashes]);
            let close = raw[hashes + 1..].find(&end)?;
            return Some(prefix + 1 + hashes + 1 + close + end.len());
        }
    }
    if plain.starts_with('"') && prefix <= 1 {
        return Some(prefix + quoted(plain, '"'));
    }
    if plain.starts_with('\'') && prefix <= 1 {
        let mut inside = plain[1..].chars();
        let (first, second) = (inside.next()?, inside.next());
        let lifetime = first != '\\' && second != Some('\'');
        return Some(if lifetime { 1 } else { prefix + quoted(plain, '\'') });
    }
    None
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Returns the files that each file refers to.
pub fn dependencies(tree: &Tree) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeMap<Names, &str> = tree.keys().map(|file| (module(file), file.as_str())).collect();
    let find = |(module, file): (&Names, &&str)| Mentioned::find(module, &modules, &tokens(&tree[*file]));
    let mentioned = modules.iter().map(|entry| (entry.0.clone(), find(entry))).collect();
    let crates = Crate { modules, mentioned };
    let named = |(user, file): (&Names, &&'_ str)| {
        let paths = crates.mentioned[user].paths.iter();
        let files = paths.map(|path| crates.file_of(path, user, 0)).filter(|named| named != file);
        files.collect()
    };
    crates.modules.iter().map(|entry| (*entry.1, named(entry))).collect()
}

/// `a/b.rs` and `a/b/mod.rs` → `[a, b]`; `lib.rs` and `main.rs` → `[]`.
fn module(file: &str) -> Names {
    let parts = file.strip_suffix(".rs").unwrap_or(file).split('/');
    parts.filter(|part| !matches!(*part, "lib" | "main" | "mod")).map(str::to_owned).collect()
}

struct Crate<'a> {
    modules: BTreeMap<Names, &'a str>,
    mentioned: BTreeMap<Names, Mentioned>,
}

impl<'a> Crate<'a> {
    /// Resolves a path in the module `user` to the file of its deepest module. A re-export is resolved to its origin, except in the
    /// descendants of the re-exporting module.
    fn file_of(&self, path: &[String], user: &Names, depth: usize) -> &'a str {
        let known = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]));
        let known = known.expect("every crate has a root");
        let inside = path[..known].to_vec();
        let reexports = path.get(known).and_then(|item| self.mentioned[&inside].reexports.get(item));
        match reexports {
            Some(origin) if !user.starts_with(&inside) && depth < 8 => {
                let whole = [origin.as_slice(), &path[known + 1..]].concat();
                self.file_of(&whole, user, depth + 1)
            }
            _ => self.modules[&inside],
        }
    }
}

/// The paths in a file, from the root of the crate.
#[derive(Default)]
struct Mentioned {
    paths: BTreeSet<Names>,
    /// Its re-exports by name.
    reexports: BTreeMap<String, Names>,
}

impl Mentioned {
    fn find(module: &Names, modules: &BTreeMap<Names, &str>, tokens: &[&str]) -> Self {
        let mut found = Self::default();
        // The inline modules at the present position, each with the depth of its braces.
        let (mut here, mut inner, mut depth) = (module.clone(), Vec::new(), 0_usize);
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| tokens[before]);
            match tokens[at..] {
                ["use", ..] => {
                    let mut imports = Vec::new();
                    at = imported(tokens, at + 1, &[], &mut imports);
                    for (path, name) in imports {
                        let Some(path) = absolute(&path, &here, modules) else { continue };
                        if matches!(before, "pub" | ")") {
                            found.reexports.insert(name.to_owned(), path.clone());
                        }
                        found.paths.insert(path);
                    }
                }
                ["mod", name, ";", ..] => {
                    found.paths.insert([here.as_slice(), &[name.to_owned()]].concat());
                }
                ["mod", name, "{", ..] => {
                    inner.push(depth);
                    here.push(name.to_owned());
                }
                ["{", ..] => depth += 1,
                ["}", ..] => {
                    depth = depth.saturating_sub(1);
                    if inner.last() == Some(&depth) {
                        inner.pop();
                        here.pop();
                    }
                }
                ["crate" | "super" | "self", "::", ..] if before != "in" => {
                    let mut path = vec![tokens[at]];
                    while let ["::", word, ..] = tokens[at + 1..]
                        && is_name(word)
                    {
                        path.push(word);
                        at += 2;
                    }
                    found.paths.extend(absolute(&path, &here, modules));
                }
                _ => {}
            }
            at += 1;
        }
        found
    }
}

/// Parses a tree of imports from `at` below `path`, each with its name. Returns the position after it.
fn imported<'a>(
    tokens: &[&'a str],
    mut at: usize,
    path: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, &'a str)>,
) -> usize {
    let mut path = path.to_vec();
    loop {
        match tokens[at..] {
            ["::", ..] => at += 1,
            ["{", ..] => {
                while tokens[at] != "}" {
                    at = imported(tokens, at + 1, &path, found); // up to a comma or the brace
                }
                return at + 1;
            }
            ["as", name, ..] => {
                found.push((path, name));
                return at + 2;
            }
            ["*", ..] => {
                found.push((path, "*"));
                return at + 1;
            }
            ["self", ..] if !path.is_empty() => at += 1,
            [name, ..] if is_name(name) => {
                path.push(name);
                at += 1;
            }
            _ => {
                if let Some(name) = path.last().copied() {
                    found.push((path, name));
                }
                return at;
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the path from the root of the crate, if it is a path in the crate.
fn absolute(path: &[&str], here: &Names, modules: &BTreeMap<Names, &str>) -> Option<Names> {
    let (first, mut rest) = path.split_first()?;
    let mut whole = match *first {
        "crate" => Names::new(),
        "self" => here.clone(),
        "super" => here[..here.len().checked_sub(1)?].to_vec(),
        child => {
            let whole = [here.as_slice(), &[child.to_owned()]].concat();
            return modules
                .contains_key(&whole)
                .then(|| [whole, rest.iter().map(|&part| part.to_owned()).collect()].concat());
        }
    };
    while let ["super", above @ ..] = rest {
        whole.pop();
        rest = above;
    }
    whole.extend(rest.iter().map(|part| (*part).to_owned()));
    Some(whole)
}

/// Returns the shortest cycle of each file that depends on itself; each set of files once.
pub fn cycles(tree: &Tree) -> Vec<Vec<&str>> {
    let depends = dependencies(tree);
    let mut known = BTreeSet::new();
    let ways = depends.keys().filter_map(|file| shortest_cycle(file, &depends));
    ways.filter(|way| known.insert(way.iter().copied().collect::<BTreeSet<_>>())).collect()
}

fn shortest_cycle<'a>(file: &'a str, depends: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut came_from = BTreeMap::new();
    let mut next = std::collections::VecDeque::from([file]);
    while let Some(here) = next.pop_front() {
        for there in &depends[here] {
            if *there == file {
                let back = std::iter::successors(Some(here), |step| came_from.get(step).copied());
                let mut way: Vec<_> = back.collect();
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(there) {
                came_from.insert(there, here);
                next.push_back(there);
            }
        }
    }
    None
}
