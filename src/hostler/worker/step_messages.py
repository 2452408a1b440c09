"""What is told of one step of an engine."""

from collections.abc import Iterator

from hostler.engine.core import StepOutput
from hostler.engine.pooling.core import PoolingStep
from hostler.worker.messages import CallFailed, ErrorReport, FromWorker, Output, Outputs, Pooled, RequestFailed


def messages_of(step: StepOutput | PoolingStep) -> Iterator[FromWorker]:
    if isinstance(step, PoolingStep):
        for call_id, output in step.outputs.items():
            yield Pooled(call_id=call_id, output=output)
        for call_id, error in step.failures.items():
            yield CallFailed(call_id=call_id, error=ErrorReport.of(error))
        return
    if step.deltas:
        yield Outputs(outputs=[Output(request_id=owner, delta=delta) for owner, delta in step.deltas])
    for request_id, error in step.failures.items():
        yield RequestFailed(request_id=request_id, error=ErrorReport.of(error))
