//! A step: who does what, and how that is told.

use std::fmt;

use crate::fleet::Fleet;
use crate::promise::Promise;
use crate::revoked::Revoked;

/// A step, for the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub who: usize,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Revoke(Revoked),
    WriteFile,
    Append,
    DeleteSession,
    Acknowledge,
    Decline,
    ListLate,
    Refresh,
    ReadRevoked,
    Rotate,
    LoseAnswer,
    FindTheft,
    Show,
    Attach,
    ReadSet,
    PutBackNewest,
    PutBackRest,
    Settle,
    ReadLog,
    Beat,
    Contact,
    Kill,
    Start,
    Cut,
    Heal,
    ReplicaStops,
    LoseData,
    RestartEmpty,
    Promote,
}

/// What kind of step it is: clients and faults may stay away, the rest happens in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Client,
    Fault,
    Own,
}

/// A step that may be taken.
pub(crate) struct Step {
    pub action: Action,
    pub after: Fleet,
    pub broken: Option<Promise>,
}

impl What {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Revoke(_) | Self::Refresh | Self::Show | Self::Decline => Kind::Client,
            Self::Kill
            | Self::Cut
            | Self::ReplicaStops
            | Self::LoseData
            | Self::RestartEmpty
            | Self::Promote => Kind::Fault,
            _ => Kind::Own,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ["A", "B"][self.who];
        let text = match self.what {
            What::Revoke(Revoked::Session) => "is asked to log the session out",
            What::Revoke(Revoked::Token) => "is asked to revoke a token",
            What::WriteFile => "writes its list into its file",
            What::Append => "writes the revocation into Redis",
            What::DeleteSession => "deletes the session in Redis",
            What::Acknowledge => "tells the client that it is revoked",
            What::Decline => "waits too long, and tells the client that it is not revoked",
            What::ListLate => "takes the revocation into its list",
            What::Refresh => "is asked to refresh the session, and finds it",
            What::ReadRevoked => "reads whether the session is revoked",
            What::Rotate => "runs the script that rotates, and answers with the successor",
            What::LoseAnswer => "runs the script that rotates; its answer is lost",
            What::FindTheft => "finds that the token was rotated long ago, and revokes the session",
            What::Show => "is shown the access token that came with a refresh token",
            What::Attach => "connects: a heartbeat, the lineage",
            What::ReadSet => "reads the whole set",
            What::PutBackNewest => "puts its newest revocations back",
            What::PutBackRest => "puts the rest of its list back",
            What::Settle => "has known this Redis for two seconds",
            What::ReadLog => "reads an entry of the log",
            What::Beat => "sends a heartbeat, and is answered",
            What::Contact => "takes the heartbeat's answer in",
            What::Kill => "is killed",
            What::Start => "starts from its file",
            What::Cut => "is cut off from Redis",
            What::Heal => "reaches Redis again",
            What::ReplicaStops => return write!(formatter, "the replica stops following"),
            What::LoseData => return write!(formatter, "Redis loses its data (FLUSHALL)"),
            What::RestartEmpty => return write!(formatter, "Redis is killed and starts empty"),
            What::Promote => return write!(formatter, "the replica takes over"),
        };
        write!(formatter, "gateway {name} {text}")
    }
}
