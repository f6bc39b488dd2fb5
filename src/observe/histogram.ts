// A Prometheus histogram that costs its observer a few array writes. prom-client looks the series up by its labels at
// each observation, which takes a microsecond; here that is done once per series, and the rest when it is scraped.
import type { Registry } from 'prom-client'

export type Series = { observe(value: number): void }

type Labels = Record<string, string | number>
type Kept = Series & { readonly labels: Labels; readonly counts: Float64Array; sum: number }

/** @param bounds upper bounds, ascending */
export function createHistogram(registry: Registry, name: string, help: string, bounds: readonly number[]) {
  const all: Kept[] = []
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => ({ name, help, type: 'histogram', aggregator: 'sum', values: all.flatMap(valuesOf) }),
    reset: () => all.splice(0),
  }
  registry.registerMetric(metric as never)

  function valuesOf({ labels, counts, sum }: Kept) {
    let below = 0
    const buckets = [...bounds, '+Inf'].map((le, index) => {
      below += counts[index]!
      return { labels: { ...labels, le }, value: below, metricName: `${name}_bucket` }
    })
    return [
      ...buckets,
      { labels, value: sum, metricName: `${name}_sum` },
      { labels, value: below, metricName: `${name}_count` },
    ]
  }

  return (labels: Labels): Series => {
    const counts = new Float64Array(bounds.length + 1)
    const series: Kept = {
      labels,
      counts,
      sum: 0,
      observe(value) {
        let bucket = 0
        while (bucket < bounds.length && value > bounds[bucket]!) bucket++
        counts[bucket]! += 1
        series.sum += value
      },
    }
    all.push(series)
    return series
  }
}
