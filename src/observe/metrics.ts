// What is counted, for Prometheus. Labels are closed sets: never a token, a subject, or a path as it was sent.
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { createHistogram, type Series } from './histogram.ts'

export type Metrics = ReturnType<typeof createMetrics>

const seconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export function createMetrics(version: string) {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({ name: 'build_info', help: 'Always 1.', labelNames: ['version'], registers }).set({ version }, 1)
  const durationOf = createHistogram(
    registry,
    'http_server_request_duration_seconds',
    'Duration of HTTP requests, by route template.',
    seconds,
  )
  // Level by level: one key for all three would have to be put together and hashed at each request.
  const durations = new Map<string | undefined, Map<string, Map<number, Series>>>()
  const seriesAt = (method: string, route: string | undefined, status: number): Series => {
    const byStatus = made(made(durations, route, newMap), method, newMap)
    return made(byStatus, status, () => {
      const labels = { http_request_method: method, http_response_status_code: status }
      return durationOf(route === undefined ? labels : { ...labels, http_route: route })
    })
  }
  const checks = countedIn(
    registry,
    'latchkey_checks_total',
    'Answers to "may this bearer?", by door and result.',
    ['door', 'result'],
  )
  const refused = countedIn(
    registry,
    'latchkey_forward_auth_refused_total',
    'Requests that a gateway was told not to let pass, by reason.',
    ['reason'],
  )
  return {
    registry,
    active: new Gauge({ name: 'http_server_active_requests', help: 'Requests in flight.', registers }),
    checks: (door: string, result: string) => checks({ door, result }),
    refused: (reason: string) => refused({ reason }),
    /** Whether checks are answered, asked when it is scraped. */
    lease(holds: () => boolean) {
      new Gauge({
        name: 'latchkey_lease_held',
        help: '1 while this replica may answer checks, 0 while it answers 503.',
        registers,
        collect() {
          this.set(holds() ? 1 : 0)
        },
      })
    },
    provisioned: new Counter({
      name: 'latchkey_tokens_provisioned_total',
      help: 'Tokens provisioned, by type.',
      labelNames: ['type'] as const,
      registers,
    }),
    revoked: new Counter({ name: 'latchkey_tokens_revoked_total', help: 'Tokens revoked.', registers }),
    /** @param route the template, undefined where no route matched @param elapsedSeconds wall time */
    observe(method: string, route: string | undefined, status: number, elapsedSeconds: number) {
      // Methods are the caller's to choose; only the usual ones become series of their own.
      const known = methods.has(method) ? method : '_OTHER'
      seriesAt(known, route, status).observe(elapsedSeconds)
    },
  }
}

/** @returns a number to count up, read when it is scraped: to count by labels hashes them each time */
function countedIn<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly Label[],
): (labels: Record<Label, string>) => { count: number } {
  const counted: { readonly labels: Record<Label, string>; count: number }[] = []
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const { labels, count } of counted) this.inc(labels, count)
    },
  })
  return (labels) => {
    const kept = { labels, count: 0 }
    counted.push(kept)
    return kept
  }
}

const newMap = () => new Map<never, never>()

/** What the map has under this key, made when it is missing. */
function made<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
