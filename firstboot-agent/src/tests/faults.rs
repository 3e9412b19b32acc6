//! A stage that is cut, or has a call fail, wherever that is possible.

use crate::stages::{Look, StageError};
use crate::system::fake::{Fake, Fault};

/// Applies a stage to a machine that is `ready`: cut before and within each call, and
/// with each call failing, and then once more. A failure is one to try again after, the
/// second time it is done, and `holds` looks at what is there then. The number of calls.
pub(crate) fn at_every_call(
    ready: impl Fn() -> Fake,
    apply: impl Fn(&Fake) -> Result<Look, StageError>,
    holds: impl Fn(&Fake, Fault),
) -> usize {
    let whole = ready();
    let result = whole.power_on(None, |fake| apply(fake));
    assert!(matches!(result, Some(Ok(Look::Done(_)))), "{result:?}");
    for call in 0..whole.calls() {
        for fault in [
            Fault::CutBefore(call),
            Fault::CutWithin(call),
            Fault::Fail(call),
        ] {
            let fake = ready();
            let first = fake.power_on(Some(fault), |fake| apply(fake));
            if let Some(Err(error)) = &first {
                assert!(matches!(error, StageError::Retry(_)), "{fault:?}: {error}");
            }
            let look = fake.power_on(None, |fake| apply(fake));
            assert!(
                matches!(look, Some(Ok(Look::Done(_)))),
                "{fault:?}: {look:?}"
            );
            holds(&fake, fault);
        }
    }
    whole.calls()
}
