//! Patience with a burst that goes on.

use crate::sys::spin;

/// So many are worth waiting for when they come one right after the other.
const MOST: usize = 256;

/// So many looks are worth it for twice as many as there are.
const LOOKS: usize = 8;

/// Lets a burst go on for a moment, as long as it does: until there are [`MOST`], or `most`, or they come too slowly.
///
/// Who waited for something and takes the first at once is right behind who brings it, and in its way each time anew.
pub(super) fn let_gather(most: usize, there_are: impl Fn(usize) -> bool) {
    let most = MOST.min(most);
    if most < 2 {
        return;
    }
    spin::pause(1);
    if !there_are(2) {
        return;
    }
    let (mut count, mut looks) = (4, 0);
    while count <= most && looks < LOOKS {
        if there_are(count) {
            (count, looks) = (2 * count, 0);
        } else {
            looks += 1;
            spin::pause(4);
        }
    }
}
