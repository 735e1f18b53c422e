//! Tickets that were handed in at a target, and what a source signs.

use std::time::Duration;

use berth_domain::{
    Arrival, MigrationId, Mode, MovePhase, Operation, OperationId, OperationKind, Rehearsal, TenantName,
    TenantSpec,
};
use berth_sign::{Jwk, SigningKey};
use berth_store::{ArrivalRecord, StoreError};
use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use crate::stage::Stage;

pub fn acme() -> TenantName {
    "acme".parse().unwrap()
}

/// What every source here signs with.
pub fn source_key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

impl Stage {
    /// A ticket that was handed in with a claim, for a tenant that is set up in `standby`.
    pub async fn handed_in(&self, claim: impl FnOnce(MigrationId) -> String) -> MigrationId {
        let record = self.store.tenant(&acme()).await.unwrap();
        let spec = TenantSpec { mode: Mode::Standby, ..record.spec };
        self.store.update_tenant(&spec, Some(record.version), Utc::now()).await.unwrap();
        let id = Uuid::now_v7();
        let issued = Utc::now() - TimeDelta::hours(1);
        let offered = Arrival::offered(id, "vm1".parse().unwrap(), "ann".into(), issued, Utc::now());
        let record = ArrivalRecord {
            arrival: Arrival { tenant: Some(acme()), ..offered },
            token_hash: "ab".repeat(32),
            serial: 1,
            claim: Some(claim(id)),
            source_key: Some(serde_json::to_string(&Jwk::of(&source_key().public())).unwrap()),
            handover: None,
        };
        self.store.create_arrival(&record, None).await.unwrap();
        id
    }

    /// Takes it in, or tries it out, as an acceptance does.
    pub async fn accepted(&self, id: MigrationId, kind: OperationKind) -> OperationId {
        let operation =
            Operation::queued(acme(), "vm1".parse().unwrap(), kind, false, "test".into(), Utc::now());
        let operation = Operation { migration: Some(id), ..operation };
        let accept = |record: &mut ArrivalRecord| {
            let arrival = &mut record.arrival;
            (arrival.phase, arrival.operation) = (MovePhase::Preparing, Some(operation.id));
            (arrival.message, arrival.manifest) = (None, None);
            arrival.rehearses = kind == OperationKind::TryOut;
            if arrival.rehearses {
                let emptied = arrival.rehearsal.as_ref().is_none_or(|earlier| earlier.emptied);
                arrival.rehearsal = Some(Rehearsal { emptied, ..Rehearsal::default() });
            }
            Ok::<_, StoreError>(())
        };
        self.engine.change_arrival(id, accept).await.unwrap();
        self.engine.submit(&operation, None).await.unwrap();
        operation.id
    }

    pub async fn arrival(&self, id: MigrationId) -> Arrival {
        self.store.arrival(id).await.unwrap().arrival
    }

    pub async fn until_phase(&self, id: MigrationId, phase: MovePhase) {
        let waiting = async {
            while self.arrival(id).await.phase != phase {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never comes to that phase");
    }
}
