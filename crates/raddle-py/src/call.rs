//! Calls of Python code from threads of the toolkit.

use std::panic::{panic_any, resume_unwind};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use raddle::rt::{self, Place};

use crate::ending;
use crate::explore::member::is_explored;
use crate::explore::tables;
use crate::lines;
use crate::text::Text;
use crate::unwinding::{self, Abandoned};

/// How a call of Python ended that nothing else calls.
enum End {
    Returned,
    Abandoned,
    Raised { text: String, at: Option<Place> },
}

/// Calls `function`, at the root of a thread of the toolkit.
///
/// # Panics
/// With the text of an exception that leaves `function`, on behalf of the line that raised it, and with what unwinds the
/// thread.
pub(crate) fn at_root(function: Py<PyAny>) {
    let end = Python::attach(|py| {
        let result = function.bind(py).call0();
        let end = end_of(py, result.map(drop));
        drop(function); // while the thread is attached
        end
    });
    let unwound = unwinding::end();
    match end {
        _ if unwound => resume_unwind(Box::new(rt::Abandoned)),
        End::Abandoned => resume_unwind(Box::new(rt::Abandoned)),
        End::Returned => {}
        End::Raised { text, at: Some(at) } => rt::on_behalf_of(at, || panic_any(text)),
        End::Raised { text, at: None } => panic_any(text),
    }
}

fn end_of(py: Python<'_>, result: PyResult<()>) -> End {
    match result {
        Ok(()) => End::Returned,
        Err(error) if error.is_instance_of::<Abandoned>(py) => End::Abandoned,
        Err(error) if error.is_instance_of::<PySystemExit>(py) => End::Returned,
        Err(error) => {
            let at = raised_at(&error, py);
            End::Raised { text: described(&error, py), at }
        }
    }
}

/// The exception as the last line of a traceback.
fn described(error: &PyErr, py: Python<'_>) -> String {
    let class: Bound<'_, PyType> = error.get_type(py);
    let class = class.qualname().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    match error.value(py).str() {
        Ok(text) if text.to_string().is_empty() => class,
        Ok(text) => format!("{class}: {text}"),
        Err(_) => class,
    }
}

/// The innermost line of the traceback that is the program's.
fn raised_at(error: &PyErr, py: Python<'_>) -> Option<Place> {
    let mut next = error.traceback(py).map(Bound::into_any);
    let (mut place, mut is_of_package) = (None, true);
    while let Some(traceback) = next {
        let code = traceback.getattr("tb_frame").and_then(|frame| frame.getattr("f_code")).ok()?;
        let Text(file) = code.getattr("co_filename").ok()?.extract().ok()?;
        let line: u32 = traceback.getattr("tb_lineno").ok()?.extract().unwrap_or(0);
        let Text(function) = code.getattr("co_name").ok()?.extract().ok()?;
        // The lines of this package that have called the program come first.
        if is_of_package || tables::is_of_the_program(&file) {
            is_of_package = lines::is_of_package(&file);
            place = Some(Place::intern(&file, line, Some(&function)));
        }
        next = traceback.getattr("tb_next").ok().filter(|next| !next.is_none());
    }
    place
}

/// Calls a function of the program from a class of the toolkit: a task of a pool, a callback.
///
/// Under an exploration the call is made by a line of Python that is observed, since the function may be one of C, as in
/// `pool.submit(items.append, 1)`.
pub(crate) fn function<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    ending::protect_thread();
    if !is_explored() {
        return function.call(args, kwargs);
    }
    let py = function.py();
    let kwargs = kwargs.map_or_else(|| PyDict::new(py), Clone::clone);
    py.import("raddle._observed")?.call_method1("call", (function, args, kwargs))
}
