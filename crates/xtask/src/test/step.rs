//! Results of one step.

/// What a step found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Why the step could not run.
    pub(crate) reason: Option<String>,
}

impl Outcome {
    /// A step that is one test.
    pub(crate) fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            reason: None,
        }
    }

    /// A step that could not run.
    pub(crate) fn not_run(reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    /// Counts another part of the same step.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.reason = self.reason.take().or(other.reason);
    }
}

/// Adds up the result lines of Rust's test harness.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Looks at one line of output.
    pub(crate) fn line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |what: &str| -> usize {
            result
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }

    /// The step's outcome, given whether the program ended well. One that failed without a failed test
    /// (it did not compile, it was killed) counts as one failure; so does one that ran no test at all.
    pub(crate) fn outcome(&self, success: bool) -> Outcome {
        let unexplained = self.failed == 0 && (!success || self.passed == 0);
        Outcome {
            passed: self.passed,
            failed: self.failed + usize::from(unexplained),
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "test a ... ok",
            "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.13s",
            "test result: FAILED. 2 passed; 10 failed; 0 ignored; 0 measured; 15 filtered out; finished in 1s",
        ] {
            tally.line(line);
        }
        let outcome = tally.outcome(false);
        assert_eq!((outcome.passed, outcome.failed), (9, 10));
    }

    #[test]
    fn program_that_fails_without_a_failed_test_is_one_failure() {
        assert_eq!(Tally::default().outcome(false), Outcome::one(false));
    }

    #[test]
    fn program_that_runs_no_test_is_one_failure() {
        assert_eq!(Tally::default().outcome(true), Outcome::one(false));
    }
}
