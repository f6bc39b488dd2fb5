// What is counted, for Prometheus. Labels are closed sets: never a token, a subject, or a path as it was sent.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export type Metrics = ReturnType<typeof createMetrics>

const seconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export function createMetrics(version: string) {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({ name: 'build_info', help: 'Always 1.', labelNames: ['version'], registers }).set({ version }, 1)
  const duration = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'Duration of HTTP requests, by route template.',
    labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
    buckets: seconds,
    registers,
  })
  /** Looked up by its labels, a series costs a microsecond each time. */
  const durations = new Map<string, Histogram.Internal<string>>()
  return {
    registry,
    active: new Gauge({ name: 'http_server_active_requests', help: 'Requests in flight.', registers }),
    checks: new Counter({
      name: 'latchkey_checks_total',
      help: 'Answers to "may this bearer?", by door and result.',
      labelNames: ['door', 'result'] as const,
      registers,
    }),
    provisioned: new Counter({
      name: 'latchkey_tokens_provisioned_total',
      help: 'Tokens provisioned, by type.',
      labelNames: ['type'] as const,
      registers,
    }),
    revoked: new Counter({ name: 'latchkey_tokens_revoked_total', help: 'Tokens revoked.', registers }),
    /** @param route the template, undefined where no route matched @param elapsedSeconds wall time */
    observe(method: string, route: string | undefined, status: number, elapsedSeconds: number) {
      const key = `${method} ${status} ${route}`
      let series = durations.get(key)
      if (!series) {
        const labels = {
          http_request_method: methods.has(method) ? method : '_OTHER',
          http_response_status_code: status,
        }
        series = duration.labels(route === undefined ? labels : { ...labels, http_route: route })
        // Methods are the caller's to choose; those of HTTP are few.
        if (methods.has(method)) durations.set(key, series)
      }
      series.observe(elapsedSeconds)
    },
  }
}
