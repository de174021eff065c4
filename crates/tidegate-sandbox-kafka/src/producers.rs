//! InitProducerId: ids for idempotent producers. Transactions are refused.
//!
//! Must not know: sequences; a log checks its own.

use std::sync::Arc;

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::broker::Hub;
use crate::wire::{Call, Code};

pub(crate) fn init(
    hub: &Arc<Hub>,
    call: &Call,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let answer = InitProducerIdResponse::default().with_throttle_time_ms(call.throttle);
    let refusal = call.fault.or(request
        .transactional_id
        .as_ref()
        .map(|_| Code::InvalidRequest));
    if let Some(code) = refusal {
        return answer
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
    }
    let mut state = hub.state.lock();
    let id = state.next_producer;
    state.next_producer += 1;
    answer
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(0)
}
