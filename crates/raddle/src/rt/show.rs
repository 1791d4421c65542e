//! The text of items in reports: by a function of the program or, for common types, by `Debug`.
//!
//! A container does not know whether its items implement `Debug`. So common types of the standard library are recognized
//! by their [`TypeId`], and for others there is [`name_with`](crate::trace::name_with).
#![allow(unsafe_code)]

use std::any::{Any, TypeId, type_name};
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

type Text<T> = fn(&(dyn Any + Send + Sync), &T) -> String;

/// The function that shows the items of an object, if the program has set one.
///
/// The type of the closure is erased and restored by the function beside it. So the drop of this value involves no `T`, and
/// a queue of borrowed items may be dropped after what they borrow.
pub(crate) struct Show<T>(OnceLock<(Box<dyn Any + Send + Sync>, Text<T>)>);

impl<T> Show<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Sets the function. Only the first call takes effect.
    pub(crate) fn set<F: Fn(&T) -> String + Send + Sync + 'static>(&self, text: F) {
        let call: Text<T> = |text, item| match text.downcast_ref::<F>() {
            Some(text) => text(item),
            None => String::new(), // it is an F
        };
        let _ = self.0.set((Box::new(text), call));
    }

    /// Returns the text of an item, or its type in angle brackets.
    pub(crate) fn one(&self, item: &T) -> String {
        match self.0.get() {
            Some((text, call)) => call(&**text, item),
            None => known(item).unwrap_or_else(|| format!("<{}>", short(type_name::<T>()))),
        }
    }

    /// Returns the text of several items: the first few, and the number of others.
    pub(crate) fn many<'a>(&self, items: impl ExactSizeIterator<Item = &'a T>) -> String
    where
        T: 'a,
    {
        const FEW: usize = 4;
        let more = items.len().saturating_sub(FEW);
        let texts: Vec<_> = items.take(FEW).map(|item| self.one(item)).collect();
        match (texts.is_empty(), more) {
            (true, _) => "nothing".to_owned(),
            (false, 0) => texts.join(", "),
            (false, _) => format!("{}, and {more} more", texts.join(", ")),
        }
    }
}

/// Returns the `Debug` text of an item of a common type.
fn known<T>(item: &T) -> Option<String> {
    let id = erased::<T>();
    macro_rules! try_each {
        ($($known:ty),* $(,)?) => {
            $(if id == TypeId::of::<$known>() {
                // SAFETY: but for lifetimes, `T` is this type. Only `&str` has one; it is read while `item` is
                // borrowed, which is no longer than it lives.
                let item = unsafe { &*std::ptr::from_ref(item).cast::<$known>() };
                return Some(format!("{item:?}"));
            })*
        };
    }
    try_each!(
        (),
        bool,
        char,
        i8,
        i16,
        i32,
        i64,
        i128,
        isize,
        u8,
        u16,
        u32,
        u64,
        u128,
        usize,
        f32,
        f64,
        &'static str,
        String,
        Box<str>,
        Arc<str>,
        Duration,
        Option<i32>,
        Option<i64>,
        Option<u8>,
        Option<u32>,
        Option<u64>,
        Option<usize>,
        Option<bool>,
        Option<&'static str>,
        Option<String>,
        (i32, i32),
        (u32, u32),
        (u64, u64),
        (usize, usize),
        Vec<u8>,
        Vec<i32>,
        Vec<u32>,
        Vec<u64>,
        Vec<usize>,
        Vec<String>,
    );
    None
}

/// Returns the `TypeId` of `T` with all its lifetimes replaced by `'static`.
fn erased<T>() -> TypeId {
    trait Id {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T> Id for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let phantom = PhantomData::<T>;
    let it: &dyn Id = &phantom;
    // SAFETY: the lifetime bound of a trait object does not affect its layout. The only method does not access the
    // value, only its type, and lifetimes are erased before the program runs.
    let it = unsafe { std::mem::transmute::<&dyn Id, &(dyn Id + 'static)>(it) };
    it.id()
}

/// `crate::module::Type<crate::Other>` → `Type<Other>`.
fn short(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut text = String::new();
    let mut word = String::new();
    for c in name.chars().chain(std::iter::once(' ')) {
        if is_word(c) {
            word.push(c);
        } else {
            text += word.rsplit("::").next().unwrap_or_default();
            word.clear();
            text.push(c);
        }
    }
    let text = text.replace("<'_>", "").replace("'_, ", "");
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Job<'a>(&'a str);

    #[test]
    fn common_types_are_shown_by_their_debug() {
        let text = String::from("borrowed");
        assert_eq!(Show::new().one(&-1_i64), "-1");
        assert_eq!(Show::new().one(&text.as_str()), "\"borrowed\"");
        assert_eq!(Show::new().one(&Some(text)), "Some(\"borrowed\")");
        assert_eq!(Show::new().many([1_u8, 2, 3, 4, 5, 6].iter()), "1, 2, 3, 4, and 2 more");
        assert_eq!(Show::<u8>::new().many([].iter()), "nothing");
    }

    #[test]
    fn other_types_are_shown_by_their_name_or_a_function() {
        let name = String::from("tea");
        let show = Show::new();
        assert_eq!(show.one(&Job(&name)), "<Job>");
        show.set(|job: &Job<'_>| format!("job {}", job.0));
        show.set(|_| "the first call counts".to_owned());
        assert_eq!(show.one(&Job(&name)), "job tea");
        assert_eq!(short("alloc::vec::Vec<(a::B, c::D<e::F>)>"), "Vec<(B, D<F>)>");
    }

    /// As with a plain `Vec`, what the items borrow may be dropped first.
    #[test]
    fn items_may_be_dropped_after_what_they_borrow() {
        let (_show, name);
        name = String::from("tea");
        let show = Show::new();
        assert_eq!(show.one(&name.as_str()), "\"tea\"");
        _show = show;
    }
}
