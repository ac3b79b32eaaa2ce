"""The function that XLA calls, after its interface for foreign functions, and how its work is shared out.

Offsets, in bytes, are those of the structures in xla/ffi/api/c_api.h, which are the same from JAX 0.5 to 0.12
(versions 0.1 to 0.5 of the interface).
"""

from __future__ import annotations

from llvmlite import ir

_I64, _I32 = ir.IntType(64), ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()
_NULL = ir.Constant(_POINTER, None)

_NEWEST = 5
"""Of the interface 0.x that is known; XLA says for how long it takes an older one than its own."""

# XLA_FFI_CallFrame; the last two are lists of buffers.
_FRAME_EXTENSION, _FRAME_API, _FRAME_CONTEXT, _FRAME_OPERANDS, _FRAME_RESULTS = 8, 16, 24, 72, 112
_BUFFER_DATA = 24  # XLA_FFI_Buffer
_API_MINOR, _API_DESTROY_ERROR, _API_SCHEDULE = 36, 64, 136  # XLA_FFI_Api
# XLA_FFI_ThreadPool_Schedule_Args and XLA_FFI_Error_Destroy_Args, each with its own size at the beginning.
_SCHEDULE_SIZE, _SCHEDULE_EXTENSION, _SCHEDULE_CONTEXT, _SCHEDULE_TASK, _SCHEDULE_DATA = 40, 8, 16, 24, 32
_ERROR_SIZE, _ERROR_EXTENSION, _ERROR = 24, 8, 16
# XLA_FFI_Extension_Base, of a kind that asks for XLA_FFI_Metadata.
_EXTENSION_KIND, _EXTENSION_METADATA, _METADATA_MAJOR, _METADATA_MINOR = 8, 24, 24, 28
_IS_METADATA = 1

# What those who work on one call have in common: the next share that none has begun, how many are done, how
# many hold this record, and the frame.
_NEXT, _DONE, _HOLDERS, _FRAME, _JOB_SIZE = 0, 8, 16, 24, 32


def operands(build: ir.IRBuilder, frame: ir.Value) -> ir.Value:
    """Return the list of operands of a call."""
    return _load(build, frame, _FRAME_OPERANDS)


def results(build: ir.IRBuilder, frame: ir.Value) -> ir.Value:
    """Return the list of results of a call."""
    return _load(build, frame, _FRAME_RESULTS)


def data(build: ir.IRBuilder, buffers: ir.Value, number: int, of: ir.Type) -> ir.Value:
    """Return the address of the elements of one of the operands or results."""
    return build.bitcast(_load(build, _load(build, buffers, 8 * number), _BUFFER_DATA), of.as_pointer())


def add_handler(share: ir.Function, name: str, shares: int) -> None:
    """Add to a module the function ``name(frame)``, which runs ``share(frame, number)`` for every share.

    With more shares than one it asks XLA for its threads. Who comes, the caller among them, takes the next
    share, so that nobody waits for a thread that has not come: all of them may be busy with other calls.
    """
    handler = ir.Function(share.module, ir.FunctionType(_POINTER, [_POINTER]), name)
    build, frame = ir.IRBuilder(handler.append_basic_block()), handler.args[0]
    _tell_version(build, frame)
    if shares == 1:
        build.call(share, [frame, ir.Constant(_I64, 0)])
    else:
        _share_out(build, frame, share, shares)
    build.ret(_NULL)


def _tell_version(build: ir.IRBuilder, frame: ir.Value) -> None:
    """Answer XLA when it asks, before the first call, which version of the interface this is.

    It is the one that XLA has, as far as that is known: what is used here is in all of them.
    """
    extension = _load(build, frame, _FRAME_EXTENSION)
    ask, answer, go = (build.append_basic_block() for _ in range(3))
    build.cbranch(build.icmp_unsigned("!=", extension, _NULL), ask, go)
    build.position_at_end(ask)
    kind = _load(build, extension, _EXTENSION_KIND, _I32)
    build.cbranch(build.icmp_unsigned("==", kind, ir.Constant(_I32, _IS_METADATA)), answer, go)
    build.position_at_end(answer)
    metadata = _load(build, extension, _EXTENSION_METADATA)
    _store(build, metadata, _METADATA_MAJOR, ir.Constant(_I32, 0))
    own, newest = _load(build, _load(build, frame, _FRAME_API), _API_MINOR, _I32), ir.Constant(_I32, _NEWEST)
    minor = build.select(build.icmp_signed("<", own, newest), own, newest)
    _store(build, metadata, _METADATA_MINOR, minor)
    build.ret(_NULL)
    build.position_at_end(go)


def _share_out(build: ir.IRBuilder, frame: ir.Value, share: ir.Function, shares: int) -> None:
    """Write the work on one call by several threads."""
    work = _work(share, shares)
    job = build.call(declared(build.module, "malloc", _POINTER, _I64), [ir.Constant(_I64, _JOB_SIZE)])
    for field, start in ((_NEXT, 0), (_DONE, 0), (_HOLDERS, shares)):
        _store(build, job, field, ir.Constant(_I64, start))
    _store(build, job, _FRAME, frame)
    task = _task(work)
    for _ in range(shares - 1):
        _schedule(build, frame, task, job)
    build.call(work, [job])
    again, done = build.append_basic_block(), build.append_basic_block()
    build.branch(again)
    build.position_at_end(again)
    build.call(declared(build.module, "sched_yield", _I32), [])
    finished = build.load_atomic(_field(build, job, _DONE, _I64), "acquire", 8)
    build.cbranch(build.icmp_signed("==", finished, ir.Constant(_I64, shares)), done, again)
    build.position_at_end(done)
    _let_go(build, job)


def _work(share: ir.Function, shares: int) -> ir.Function:
    """Write what each does who comes: shares of a job, as long as there is one that nobody has begun."""
    work = ir.Function(share.module, ir.FunctionType(ir.VoidType(), [_POINTER]), f"{share.name}_work")
    build, job = ir.IRBuilder(work.append_basic_block()), work.args[0]
    take, run, end = (build.append_basic_block() for _ in range(3))
    build.branch(take)
    build.position_at_end(take)
    number = _count(build, "add", job, _NEXT)
    build.cbranch(build.icmp_signed("<", number, ir.Constant(_I64, shares)), run, end)
    build.position_at_end(run)
    build.call(share, [_load(build, job, _FRAME), number])
    _count(build, "add", job, _DONE)
    build.branch(take)
    build.position_at_end(end)
    build.ret_void()
    return work


def _task(work: ir.Function) -> ir.Function:
    """Write what a thread of XLA's does, which may come when all is done and the frame is gone."""
    task = ir.Function(work.module, work.function_type, f"{work.name}_task")
    build, job = ir.IRBuilder(task.append_basic_block()), task.args[0]
    build.call(work, [job])
    _let_go(build, job)
    build.ret_void()
    return task


def _schedule(build: ir.IRBuilder, frame: ir.Value, task: ir.Function, job: ir.Value) -> None:
    """Ask for a thread; where there is none, the others do its work."""
    api, context = _load(build, frame, _FRAME_API), _load(build, frame, _FRAME_CONTEXT)
    given = {
        _SCHEDULE_EXTENSION: _NULL, _SCHEDULE_CONTEXT: context,
        _SCHEDULE_TASK: build.bitcast(task, _POINTER), _SCHEDULE_DATA: job,
    }  # fmt: skip
    error = _call_api(build, api, _API_SCHEDULE, _SCHEDULE_SIZE, given)
    with build.if_then(build.icmp_unsigned("!=", error, _NULL)):
        given = {_ERROR_EXTENSION: _NULL, _ERROR: error}
        _call_api(build, api, _API_DESTROY_ERROR, _ERROR_SIZE, given, ir.VoidType())
        _count(build, "sub", job, _HOLDERS)


def _call_api(
    build: ir.IRBuilder,
    api: ir.Value,
    function: int,
    size: int,
    given: dict[int, ir.Value],
    result: ir.Type = _POINTER,
) -> ir.Value:
    """Call a function of XLA's with a structure of this size."""
    with build.goto_entry_block():
        structure = build.bitcast(build.alloca(ir.ArrayType(_I64, size // 8)), _POINTER)
    _store(build, structure, 0, ir.Constant(_I64, size))
    for offset, value in given.items():
        _store(build, structure, offset, value)
    of = ir.FunctionType(result, [_POINTER]).as_pointer()
    return build.call(_load(build, api, function, of), [structure])


def _let_go(build: ir.IRBuilder, job: ir.Value) -> None:
    """Free the record of a job, once nobody else holds it."""
    before = _count(build, "sub", job, _HOLDERS)
    with build.if_then(build.icmp_signed("==", before, ir.Constant(_I64, 1))):
        build.call(declared(build.module, "free", ir.VoidType(), _POINTER), [job])


def _count(build: ir.IRBuilder, operation: str, job: ir.Value, field: int) -> ir.Value:
    """Add one to a field of a job, or take one away; return what it was."""
    return build.atomic_rmw(operation, _field(build, job, field, _I64), ir.Constant(_I64, 1), "acq_rel")


def _field(build: ir.IRBuilder, structure: ir.Value, offset: int, of: ir.Type) -> ir.Value:
    return build.bitcast(build.gep(structure, [ir.Constant(_I64, offset)]), of.as_pointer())


def _load(build: ir.IRBuilder, structure: ir.Value, offset: int, of: ir.Type = _POINTER) -> ir.Value:
    return build.load(_field(build, structure, offset, of))


def _store(build: ir.IRBuilder, structure: ir.Value, offset: int, value: ir.Value) -> None:
    build.store(value, _field(build, structure, offset, value.type))


def declared(module: ir.Module, name: str, result: ir.Type, *operands: ir.Type) -> ir.Function:
    """Return a function of the system's library, or one of LLVM's own."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, operands), name)
