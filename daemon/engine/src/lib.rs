//! Operations: plans them into steps, runs, resumes and cancels them.
