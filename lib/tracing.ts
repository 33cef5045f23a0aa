import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { VERSION } from './version.ts'

/**
 * One trace from the host's insert over event and transfer to the verified copy on another site. It begins with a span of the host
 * that is active and recorded when it tells of a write; its place travels as W3C `traceparent` in the event and in the registry row
 * until the copy is verified. Where no SDK of OpenTelemetry is registered there is no such span: one look, and nothing else is done.
 */

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Of a blob. */
export interface TracedBlob {
  readonly type: string
  readonly id: string
  readonly traceparent: string | null
}

function tracer(): Tracer {
  return trace.getTracer('express-geo-replication', VERSION)
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

function parsed(traceparent: string): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? []
  if (!traceId || !spanId || !flags) return null
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(spanContext) ? spanContext : null
}

function contextOf(traceparent: string): Context | null {
  const spanContext = parsed(traceparent)
  return spanContext && trace.setSpanContext(ROOT_CONTEXT, spanContext)
}

const attributesOf = (type: string, id: string): Attributes => ({ 'geo.type': type, 'geo.record_id': id })

/** Runs `publish` in a span, where the host is in one that is recorded; gives it what the event is to carry. */
export async function tracePublish(
  { type, id, event }: { readonly type: string; readonly id: string; readonly event: string },
  publish: (traceparent: string | null) => Promise<void>,
): Promise<void> {
  const host = trace.getActiveSpan()?.spanContext()
  if (!host || !isSpanContextValid(host) || (host.traceFlags & TraceFlags.SAMPLED) === 0) return publish(null)
  const attributes = { ...attributesOf(type, id), 'geo.event': event }
  const span = tracer().startSpan('geo publish', { kind: SpanKind.PRODUCER, attributes }, context.active())
  try {
    await publish(traceparentOf(span.spanContext()))
  } catch (reason) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: String(reason) })
    throw reason
  } finally {
    span.end()
  }
}

/** A piece of work on a blob that has ended just now; as a span where the blob belongs to a trace. */
export function traceDone(
  name: 'geo sync' | 'geo verify',
  { type, id, traceparent }: TracedBlob,
  done: { readonly seconds: number; readonly nowMs: number; readonly error?: string; readonly attributes?: Attributes },
): void {
  const parent = traceparent === null ? null : contextOf(traceparent)
  if (!parent) return
  const attributes = { ...attributesOf(type, id), ...done.attributes }
  const startTime = done.nowMs - done.seconds * 1000
  const span = tracer().startSpan(name, { kind: SpanKind.CONSUMER, startTime, attributes }, parent)
  if (done.error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: done.error })
  span.end(done.nowMs)
}

/** A request for several blobs. */
export interface TracedRequest {
  /** For the primary; null where none of the blobs belongs to a trace. */
  readonly traceparent: string | null
  end(error?: string): void
}

const NOT_TRACED: TracedRequest = Object.freeze({ traceparent: null, end: () => undefined })

/** The span of a request belongs to the trace of the first blob that has one, and links to those of the others. */
export function traceTransfer(type: string, traceparents: readonly string[], blobs: number): TracedRequest {
  const [first, ...others] = traceparents.map(parsed).filter((spanContext) => spanContext !== null)
  if (!first) return NOT_TRACED
  const attributes = { 'geo.type': type, 'geo.blobs': blobs }
  const links = others.map((spanContext) => ({ context: spanContext }))
  const parent = trace.setSpanContext(ROOT_CONTEXT, first)
  const span = tracer().startSpan('geo transfer', { kind: SpanKind.CLIENT, attributes, links }, parent)
  return {
    traceparent: traceparentOf(span.spanContext()),
    end(error) {
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error })
      span.end()
    },
  }
}

/** The other end of a transfer; inside the span of the host's own instrumentation, where there is one. Null without a trace. */
export function traceServe(type: string, traceparent: string | undefined): Span | null {
  if (traceparent === undefined) return null
  const asked = contextOf(traceparent)
  if (!asked) return null
  const parent = trace.getActiveSpan() ? context.active() : asked
  return tracer().startSpan('geo serve', { kind: SpanKind.SERVER, attributes: { 'geo.type': type } }, parent)
}
