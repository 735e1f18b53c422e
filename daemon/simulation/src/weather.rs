//! How bad a world is: what fails how often, until when.

use crate::dice::Dice;

/// A part of Berth that is left out, to see that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// The database lets anybody write, whatever the fence.
    RecordsIgnoreFences,
    /// The database writes again what comes again.
    RecordsForgetWrites,
    /// Machines obey everybody, whatever the fence.
    MachinesIgnoreFences,
    /// Machines do not recognise an operation that asks again.
    MachinesForgetOperations,
    /// Machines wait for a commit for ever.
    MachinesForgetTimers,
    /// The database lets rollouts be written by those who read them before others wrote.
    RolloutsIgnoreOthers,
}

/// The probabilities of a world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weather {
    /// A call to the database fails before it did anything.
    pub database_refuses: f64,
    /// A call to the database takes place, and its answer is lost.
    pub database_mumbles: f64,
    /// A daemon ends at a given call to the outside.
    pub crash: f64,
    /// News are lost.
    pub news_lost: f64,
    /// A question to a machine is lost.
    pub question_lost: f64,
    /// A machine's answer is lost.
    pub answer_lost: f64,
    /// A question comes to the machine a second time, later.
    pub question_twice: f64,
    /// A builder fails in a way that may pass.
    pub builder_fails: f64,
    /// What units of a new system do.
    pub sick: f64,
    /// Somebody chooses settings that cannot be evaluated.
    pub unsound: f64,
    /// Something happens to a machine, a link or a daemon, every few seconds.
    pub incident: f64,
    /// Somebody cancels an operation.
    pub cancel: f64,
}

impl Weather {
    /// Nothing fails, and nobody changes their mind.
    pub const FAIR: Self = Self {
        database_refuses: 0.0,
        database_mumbles: 0.0,
        crash: 0.0,
        news_lost: 0.0,
        question_lost: 0.0,
        answer_lost: 0.0,
        question_twice: 0.0,
        builder_fails: 0.0,
        sick: 0.0,
        unsound: 0.0,
        incident: 0.0,
        cancel: 0.0,
    };

    /// Whether nothing fails.
    pub fn is_fair(&self) -> bool {
        Self { cancel: 0.0, ..*self } == Self::FAIR
    }

    /// The weather of a seed: a quarter of all worlds is fair, unless bad weather is asked for.
    pub fn of(dice: &Dice, bad: bool) -> Self {
        let strength = match dice.number(0..=7) {
            _ if bad => 2.5,
            0 | 1 => 0.0,
            2..=4 => 0.3,
            5 | 6 => 1.0,
            _ => 2.5,
        };
        // Of each kind of trouble there is usually some, and sometimes none.
        let some = |probability: f64| if dice.chance(0.7) { probability * strength } else { 0.0 };
        Self {
            database_refuses: some(0.01),
            database_mumbles: some(0.01),
            crash: some(0.004),
            news_lost: some(0.2),
            question_lost: some(0.02),
            answer_lost: some(0.02),
            question_twice: some(0.05),
            builder_fails: some(0.05),
            sick: some(0.1),
            unsound: some(0.05),
            incident: some(0.15),
            cancel: 0.15,
        }
    }
}
