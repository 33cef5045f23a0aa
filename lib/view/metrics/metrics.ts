import { createHash, timingSafeEqual } from 'node:crypto'
import express, { type Request, type RequestHandler, type Router } from 'express'
import { Registry } from 'prom-client'
import type { MetricsOptions } from '../../options.ts'
import type { Signals } from '../../signals.ts'
import { type AuthorizeContext, isAllowedBy, requireAbility } from '../authorize.ts'
import { MetricSet } from './metric-set.ts'
import { ProcessMetrics, type ProcessMetricsContext } from './process-metrics.ts'
import { StatusMetrics, type StatusMetricsContext } from './status-metrics.ts'

export interface MetricsContext
  extends StatusMetricsContext,
    AuthorizeContext,
    Omit<ProcessMetricsContext, 'siteName'> {
  readonly settings: StatusMetricsContext['settings'] &
    AuthorizeContext['settings'] & { readonly metrics: MetricsOptions | null; readonly siteName: string }
  readonly signals: Signals
}

export interface Metrics {
  /** `GET /metrics`; without the option `metrics` it has no route. */
  readonly router: Router
  /** What a scrape is answered with; null without the option. */
  readonly scrape: (() => Promise<string>) | null
  /** What this instance tells is no longer asked for. What it has counted stays, as counters do. */
  close(): void
}

export function openMetrics(context: MetricsContext): Metrics {
  const { settings } = context
  const router = express.Router()
  if (!settings.metrics) return { router, scrape: null, close: () => undefined }

  const { registry = new Registry(), token } = settings.metrics
  const set = MetricSet.of(registry)
  const ofSites = new StatusMetrics(context)
  const ofProcess = new ProcessMetrics({ ...context, siteName: settings.siteName })
  ofSites.declareIn(set)
  ofProcess.countIn(set)
  const closes = [set.addSource(ofSites), set.addSource(ofProcess)]

  router.get('/metrics', mayScrape(token, { settings, logger: settings.logger }), (_request, response, next) => {
    registry.metrics().then((text) => {
      response.set('Content-Type', registry.contentType).set('Cache-Control', 'no-store').send(text)
    }, next)
  })
  return { router, scrape: () => registry.metrics(), close: () => closes.forEach((close) => void close()) }
}

function mayScrape(token: string | undefined, context: AuthorizeContext): RequestHandler {
  const ask = requireAbility(isAllowedBy(context), 'read_geo')
  return (request, response, next) => {
    if (token !== undefined && sends(request, token)) next()
    else ask(request, response, next)
  }
}

/** Whatever was sent, the comparison takes the same time. */
function sends(request: Request, token: string): boolean {
  const [, sent = ''] = /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '') ?? []
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(sent), digest(token))
}
