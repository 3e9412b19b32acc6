//! Closes the first boot: puts everything on the disk, then leaves the mark
//! that keeps the unit from starting again.

use node_config::{NodeConfig, paths};

use super::{Look, Stage, StageError, Tell};
use crate::system::{System, replace};

/// The last stage.
pub(crate) struct Finish;

const DONE: &str = "nothing is left to do, the agent does not start again";

impl Stage for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    fn look(&self, _: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        Ok(match sys.mode(paths::DONE)? {
            Some(_) => Look::Done(DONE.into()),
            None => Look::ToDo("everything before is done".into()),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        // First: with the mark on the disk, nobody looks after the rest again.
        sys.sync()?;
        let mark = format!("{}\n", node.image_id);
        Ok(replace(sys, paths::DONE, 0o644, mark.as_bytes())?)
    }

    fn last_words(&self) -> Option<&'static str> {
        Some(DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::machine;

    #[test]
    fn the_mark_names_the_image() {
        let (fake, node) = (machine::healthy(), machine::node());
        fake.make_dir(paths::STATE_DIR, 0o700)
            .expect("as the runner does");
        assert!(matches!(Finish.look(&node, &fake), Ok(Look::ToDo(_))));
        Finish.apply(&node, &fake, &|_| ()).expect("applies");
        assert_eq!(Finish.look(&node, &fake), Ok(Look::Done(DONE.into())));
        assert_eq!(fake.text(paths::DONE), format!("{}\n", node.image_id));
    }
}
