//! What frequent operations on objects of the interpreter's own types access.
//!
//! `raddle._touches` states what all operations access, in Python. These rules are an excerpt of it: they find the same
//! accesses in the same order in a fraction of the time, or do not apply. Tests compare both.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyCFunction, PyDict, PyFrozenSet, PyFunction, PyInt, PyList, PySet, PyString, PyTuple, PyType,
};
use raddle::rt::Effect;

use super::code::Operation;
use super::frame::found_on_type;
use super::locations::{Access, Part};
use super::names;
use super::state;
use super::tables::{Kind, Known, Tables, locked};

/// Accesses, unless the rules do not apply.
type Found = PyResult<Option<Vec<Access>>>;

const NOTHING: Found = Ok(Some(Vec::new()));

/// The number of items that are looked at.
const MOST_ITEMS: usize = 100;

type Operands<'a, 'py> = &'a [Option<Bound<'py, PyAny>>];

fn class_of(object: &Bound<'_, PyAny>) -> usize {
    object.get_type_ptr() as usize
}

fn whole(object: &Bound<'_, PyAny>, known: Known, effect: Effect) -> Access {
    Access { object: object.clone().unbind(), part: Part::Whole, effect, name: known.whole }
}

fn values(object: &Bound<'_, PyAny>, known: Known, effect: Effect) -> Access {
    Access { object: object.clone().unbind(), part: Part::Values, effect, name: known.values }
}

/// Reads all of an object.
fn read(object: &Bound<'_, PyAny>, known: Known) -> [Access; 2] {
    [whole(object, known, Effect::Read), values(object, known, Effect::Read)]
}

/// Changes an object. All other accesses of it conflict.
fn written(object: &Bound<'_, PyAny>, known: Known) -> Access {
    whole(object, known, Effect::Write)
}

impl Tables {
    /// Returns what an operation accesses, or `None` if the rules do not apply.
    pub(super) fn by_rules(
        &self,
        operation: Operation,
        argument: &Bound<'_, PyAny>,
        operands: Operands<'_, '_>,
    ) -> Found {
        match (operation, operands) {
            (Operation::Call, _) => self.call(operands),
            (Operation::CallWithNames, [operands @ .., Some(_)]) => {
                let Some((callable, args)) = called(operands) else { return Ok(None) };
                Ok(self.is_call_of_toolkit(callable, args)?.then(Vec::new))
            }
            (Operation::CallUnpacked, _) => Ok(self.call_unpacked(operands)),
            (Operation::Enter, [Some(manager)]) => Ok(self.enter(manager)),
            (Operation::LoadSpecial, [Some(manager)]) => {
                Ok((!self.shadowed.contains(&class_of(manager))).then(Vec::new))
            }
            (Operation::Length | Operation::Consume, [Some(value)]) if self.is_set_of_objects(value) => {
                Ok(None)
            }
            (Operation::Length, [Some(value)]) => self.length(value),
            (Operation::Consume, [Some(value)]) => self.consume(value),
            (Operation::Advance, [Some(iterator)]) => self.advance(iterator, argument.is_truthy()?),
            (Operation::Item, [Some(container), Some(key)]) => self.item(container, key),
            (Operation::StoreItem, [_, Some(container), Some(key)]) => self.store_item(container, key),
            (Operation::DeleteItem, [Some(container), Some(key)]) => self.delete_item(container, key),
            (Operation::Contains, [item, Some(container)]) => self.contains(item.as_ref(), container),
            (Operation::Read, _) => {
                let is_quiet = |value| self.is_without_items(value) || self.is_tuple_of_atoms(value);
                let quiet = operands.iter().flatten().all(is_quiet);
                if quiet { NOTHING } else { Ok(None) }
            }
            (Operation::Compare, [Some(first), Some(second)]) => {
                let mut accesses = Vec::new();
                let applies =
                    self.reads_items(first, &mut accesses) && self.reads_items(second, &mut accesses);
                Ok(applies.then_some(accesses))
            }
            (Operation::Return, [Some(value)]) => {
                let mut accesses = Vec::new(); // the caller may compare it, and iterate over it
                let applies =
                    self.reads_items(value, &mut accesses) && self.reads_items(value, &mut accesses);
                Ok(applies.then_some(accesses))
            }
            _ => Ok(None),
        }
    }

    /// The type of a container or an iterator. That of a dictionary which may be the attributes of an object is not known.
    fn known(&self, object: &Bound<'_, PyAny>) -> PyResult<Option<Known>> {
        let Some(known) = self.rules.types.get(&class_of(object)) else { return Ok(None) };
        if known.kind == Kind::Dict {
            let is_owned = state::with(|state| state.locations.has_owner(object.as_ptr() as usize));
            if is_owned.unwrap_or(false) || object.contains(intern!(object.py(), "__builtins__"))? {
                return Ok(None);
            }
        }
        Ok(Some(*known))
    }

    /// Whether reading the object itself accesses nothing but attributes: it is neither a container nor an iterator of C.
    fn is_without_items(&self, value: &Bound<'_, PyAny>) -> bool {
        self.is_atomic(value)
            || value.is_exact_instance_of::<PyFunction>()
            || self.rules.toolkit.contains(&class_of(value))
            || self.is_plain(&value.get_type())
    }

    /// Reads a value and its items, if these are of atomic types. Returns whether the rules apply.
    fn reads_items(&self, value: &Bound<'_, PyAny>, accesses: &mut Vec<Access>) -> bool {
        if let Ok(list) = value.cast_exact::<PyList>() {
            let Some(known) = self.rules.types.get(&class_of(value)) else { return false };
            accesses.extend(read(value, *known));
            return list.len() <= MOST_ITEMS && list.iter().all(|item| self.is_atomic(&item));
        }
        self.is_without_items(value) || self.is_tuple_of_atoms(value)
    }

    fn is_tuple_of_atoms(&self, value: &Bound<'_, PyAny>) -> bool {
        value
            .cast_exact::<PyTuple>()
            .is_ok_and(|tuple| tuple.len() <= MOST_ITEMS && tuple.iter().all(|item| self.is_atomic(&item)))
    }

    fn is_frozen_set_of_atoms(&self, value: &Bound<'_, PyAny>) -> bool {
        value
            .cast_exact::<PyFrozenSet>()
            .is_ok_and(|set| set.len() <= MOST_ITEMS && set.iter().all(|item| self.is_atomic(&item)))
    }

    /// Whether the order of a set may depend on the addresses of its items.
    fn is_set_of_objects(&self, value: &Bound<'_, PyAny>) -> bool {
        let (true, Ok(2..)) = (is_set(value), value.len()) else { return false };
        let Ok(mut items) = value.try_iter() else { return true };
        !items.by_ref().take(MOST_ITEMS).flatten().all(|item| self.is_atomic(&item))
    }

    fn length(&self, value: &Bound<'_, PyAny>) -> Found {
        Ok(match self.known(value)? {
            Some(Known { kind: Kind::Constant | Kind::Counter | Kind::Iterator, .. }) => Some(Vec::new()),
            Some(known) => Some(vec![whole(value, known, Effect::Read)]),
            None => self.is_without_items(value).then(Vec::new),
        })
    }

    fn consume(&self, value: &Bound<'_, PyAny>) -> Found {
        Ok(match self.known(value)? {
            Some(Known { kind: Kind::Constant, .. }) => Some(Vec::new()),
            Some(Known { kind: Kind::Counter | Kind::Iterator, .. }) => return self.advance(value, false),
            Some(known) => Some(read(value, known).into()),
            None => self.is_without_items(value).then(Vec::new),
        })
    }

    /// Only the calling frame knows a private iterator.
    fn advance(&self, iterator: &Bound<'_, PyAny>, is_private: bool) -> Found {
        let mut accesses = Vec::new();
        let applies = self.looks_behind(iterator, true, &mut accesses, &mut Vec::new())?;
        let first = usize::from(is_private && !accesses.is_empty()); // the iterator itself
        Ok(applies.then(|| accesses.split_off(first)))
    }

    /// What an iterator reads, and the iterators that it advances. Returns whether the rules apply.
    fn looks_behind(
        &self,
        value: &Bound<'_, PyAny>,
        is_iterator: bool,
        accesses: &mut Vec<Access>,
        seen: &mut Vec<usize>,
    ) -> PyResult<bool> {
        let address = value.as_ptr() as usize;
        if self.is_atomic(value) && !is_iterator || seen.contains(&address) {
            return Ok(true);
        }
        let Some(known) = self.known(value)? else {
            return Ok(!is_iterator && self.is_without_items(value) && never_iterates(value));
        };
        seen.push(address);
        match known.kind {
            Kind::Counter => {
                accesses.push(written(value, known));
                Ok(true)
            }
            Kind::Iterator => {
                accesses.push(written(value, known));
                let referents = self.rules.referents.bind(value.py()).call1((value,))?;
                for behind in referents.cast::<PyList>()? {
                    if !self.looks_behind(&behind, false, accesses, seen)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ if is_iterator => Ok(false),
            Kind::Constant => {
                let Ok(items) = value.cast_exact::<PyTuple>() else { return Ok(false) };
                for item in items {
                    if self.is_atomic(&item) || self.is_without_items(&item) && never_iterates(&item) {
                        continue;
                    }
                    match self.rules.types.get(&class_of(&item)) {
                        Some(Known { kind: Kind::Counter | Kind::Iterator, .. }) => {
                            if !self.looks_behind(&item, false, accesses, seen)? {
                                return Ok(false);
                            }
                        }
                        Some(_) => {}
                        None => return Ok(false),
                    }
                }
                Ok(true)
            }
            Kind::List | Kind::Dict | Kind::Collection => {
                accesses.extend(read(value, known));
                Ok(true)
            }
        }
    }

    fn call(&self, operands: Operands<'_, '_>) -> Found {
        let Some((callable, args)) = called(operands) else { return Ok(None) };
        let address = callable.as_ptr() as usize;
        if self.replaced.contains(&address) {
            return Ok(None);
        }
        if self.rules.quiet.contains(&address) && args.iter().flatten().all(|arg| self.is_atomic(arg)) {
            return NOTHING;
        }
        match args {
            [Some(value)] if address == self.rules.length => return self.length(value),
            [Some(receiver), ..] if self.rules.views.contains(&address) => {
                let is_known = self.known(receiver)?.is_some_and(|known| known.kind == Kind::Dict);
                return Ok(is_known.then(Vec::new));
            }
            [Some(receiver), Some(key), ..] if address == self.rules.get => {
                let is_known = self.known(receiver)?.is_some_and(|known| known.kind == Kind::Dict);
                return if is_known { self.item(receiver, key) } else { Ok(None) };
            }
            [Some(receiver), ..] if self.rules.changing.contains(&address) => {
                let known = self.known(receiver)?;
                let known = known
                    .filter(|known| !matches!(known.kind, Kind::Constant | Kind::Counter | Kind::Iterator));
                return Ok(known.map(|known| vec![written(receiver, known)]));
            }
            _ => {}
        }
        Ok(self.is_call_of_toolkit(callable, args)?.then(Vec::new))
    }

    /// Whether a call creates an object of the toolkit, or performs an operation of one.
    fn is_call_of_toolkit(&self, callable: &Bound<'_, PyAny>, args: Operands<'_, '_>) -> PyResult<bool> {
        let address = callable.as_ptr() as usize;
        if self.replaced.contains(&address) {
            return Ok(false);
        }
        let is_receiver = |receiver| self.rules.toolkit.contains(&class_of(receiver));
        let is_method = || {
            self.rules.methods.contains(&address)
                && args.first().and_then(Option::as_ref).is_some_and(is_receiver)
        };
        Ok(self.rules.toolkit.contains(&address) || is_method() || self.is_method_of_toolkit(callable)?)
    }

    /// Whether a callable is a method that is bound to an object of the toolkit.
    fn is_method_of_toolkit(&self, callable: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = callable.py();
        if !callable.is_exact_instance_of::<PyCFunction>() {
            return Ok(false);
        }
        let receiver = callable.getattr(intern!(py, "__self__"))?;
        let class = class_of(&receiver);
        if !self.rules.toolkit.contains(&class) || self.shadowed.contains(&class) {
            return Ok(false);
        }
        let name = callable.getattr(intern!(py, "__name__"))?;
        let method = found_on_type(&receiver, &name);
        Ok(method.is_some_and(|method| self.rules.methods.contains(&(method.as_ptr() as usize))))
    }

    /// A call with a tuple and a dictionary, or none, of arguments. Operands that are absent do not count.
    fn call_unpacked(&self, operands: Operands<'_, '_>) -> Option<Vec<Access>> {
        let mut given = operands.iter().flatten();
        let (callable, args, kwargs) = (given.next()?, given.next()?, given.next());
        let applies = args.is_exact_instance_of::<PyTuple>()
            && kwargs.is_none_or(pyo3::types::PyAnyMethods::is_exact_instance_of::<PyDict>)
            && self.is_observed_function(callable);
        applies.then(Vec::new)
    }

    fn enter(&self, manager: &Bound<'_, PyAny>) -> Option<Vec<Access>> {
        let class = class_of(manager);
        let calls_python = || {
            let name = intern!(manager.py(), "__enter__");
            found_on_type(manager, name).is_some_and(|method| method.is_exact_instance_of::<PyFunction>())
        };
        let applies = !self.shadowed.contains(&class)
            && (self.rules.toolkit.contains(&class) || is_of_ordinary_class(manager) && calls_python());
        applies.then(Vec::new)
    }

    /// The item under a key that differs from others by its hash, and its name.
    fn item_of(&self, container: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> PyResult<Option<(Part, u32)>> {
        let is_text = key.is_exact_instance_of::<PyString>();
        if !is_text && !key.is_exact_instance_of::<PyInt>() {
            return Ok(None);
        }
        let hash = key.hash()?;
        let place = (class_of(container), usize::from(is_text), hash);
        let known = locked(&self.rules.items).get(&place).copied();
        if let Some(name) = known {
            return Ok(Some((Part::Item(hash), name)));
        }
        let name = names::number(&names::of_item(container, key)?);
        locked(&self.rules.items).insert(place, name);
        Ok(Some((Part::Item(hash), name)))
    }

    /// The item of a list or a dictionary, unless the place of the item in a list is counted from its end.
    fn item_of_known(
        &self,
        container: &Bound<'_, PyAny>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(Known, Part, u32)>> {
        let Some(known) = self.known(container)? else { return Ok(None) };
        let is_simple = match known.kind {
            Kind::Dict => true,
            Kind::List => key.is_exact_instance_of::<PyInt>() && key.extract::<usize>().is_ok(),
            _ => false,
        };
        if !is_simple {
            return Ok(None);
        }
        Ok(self.item_of(container, key)?.map(|(part, name)| (known, part, name)))
    }

    fn item(&self, container: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> Found {
        let Some((known, part, name)) = self.item_of_known(container, key)? else {
            let is_quiet = container.is_exact_instance_of::<PyString>()
                || container.is_exact_instance_of::<PyTuple>()
                || self.is_plain(&container.get_type());
            return Ok(is_quiet.then(Vec::new));
        };
        let object = container.clone().unbind();
        let item = Access { object, part, effect: Effect::Read, name };
        Ok(Some(vec![item, whole(container, known, Effect::Read)]))
    }

    fn store_item(&self, container: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> Found {
        let Some((known, part, name)) = self.item_of_known(container, key)? else {
            let is_quiet = self.is_atomic(key) && self.is_plain(&container.get_type());
            return Ok(is_quiet.then(Vec::new));
        };
        let object = container.clone().unbind();
        let item = Access { object, part, effect: Effect::Write, name };
        Ok(Some(if known.kind == Kind::List || container.contains(key)? {
            let values = values(container, known, Effect::Commute);
            vec![item, whole(container, known, Effect::Read), values]
        } else {
            vec![item, written(container, known)]
        }))
    }

    fn delete_item(&self, container: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> Found {
        let Some(known) = self.known(container)? else {
            return Ok(self.is_plain(&container.get_type()).then(Vec::new));
        };
        let mut accesses = Vec::with_capacity(2);
        match known.kind {
            Kind::Dict => {
                if let Some((part, name)) = self.item_of(container, key)? {
                    let object = container.clone().unbind();
                    accesses.push(Access { object, part, effect: Effect::Write, name });
                }
            }
            Kind::List => {}
            _ => return Ok(None),
        }
        accesses.push(written(container, known));
        Ok(Some(accesses))
    }

    fn contains(&self, item: Option<&Bound<'_, PyAny>>, container: &Bound<'_, PyAny>) -> Found {
        let Some(item) = item else { return Ok(None) };
        if self.is_tuple_of_atoms(container) || self.is_frozen_set_of_atoms(container) {
            return Ok(self.is_without_items(item).then(Vec::new));
        }
        let Some(known) = self.known(container)? else { return Ok(None) };
        let is_simple = || item.is_exact_instance_of::<PyString>() || item.is_exact_instance_of::<PyInt>();
        Ok(match known.kind {
            Kind::Dict if is_simple() => Some(vec![whole(container, known, Effect::Read)]),
            Kind::Collection if container.is_exact_instance_of::<PySet>() => {
                Some(read(container, known).into())
            }
            Kind::List if self.is_without_items(item) => {
                let mut accesses = Vec::new(); // iterates over it, and compares
                let applies =
                    self.reads_items(container, &mut accesses) && self.reads_items(container, &mut accesses);
                applies.then_some(accesses)
            }
            _ => None,
        })
    }
}

/// The callable among the operands of a call, which is the first or the second one, and the arguments. The other of the first
/// two operands may be absent.
fn called<'a, 'py>(operands: Operands<'a, 'py>) -> Option<(&'a Bound<'py, PyAny>, Operands<'a, 'py>)> {
    match operands {
        [Some(callable), args @ ..] if args.first().is_none_or(Option::is_some) => Some((callable, args)),
        [Some(callable), None, args @ ..] | [None, Some(callable), args @ ..] => Some((callable, args)),
        _ => None,
    }
}

/// Whether the class of an object is created by `type` itself, so that what the class has is found on it.
fn is_of_ordinary_class(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().get_type().is(object.py().get_type::<PyType>())
}

fn is_set(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PySet>() || value.is_exact_instance_of::<PyFrozenSet>()
}

/// Whether an object is no iterator, whatever is assigned to its attributes.
fn never_iterates(object: &Bound<'_, PyAny>) -> bool {
    is_of_ordinary_class(object) && found_on_type(object, intern!(object.py(), "__next__").as_any()).is_none()
}
