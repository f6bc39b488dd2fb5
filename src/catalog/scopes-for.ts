// Method and path pairs, or jobs → the smallest set of scopes that gives them all. Pure.
import { didYouMean } from '../http/nearest.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import type { Endpoint } from './endpoint.ts'
import { jobsNamed } from './filter.ts'
import type { Snapshot } from './live.ts'
import type { Shown } from './shown.ts'
import { smallestSet } from './smallest.ts'
import { parametersOf, segmentsMeet, segmentsOf, shapeOf } from './template.ts'

export type Wanted = {
  readonly endpoints?: readonly {
    readonly method: string
    readonly path: string
    readonly service?: string
  }[]
  readonly jobs?: readonly string[]
}

/** Suggestions compare with every route, so only the first few get one. */
const mostSuggestions = 5

/** @throws Problem naming every pair and job that does not exist */
export function scopesFor(wanted: Wanted, shown: Shown, snapshot: Snapshot) {
  const errors: FieldError[] = []
  const find = endpointFinder(shown.endpoints)
  const endpoints = (wanted.endpoints ?? []).flatMap((pair, index) => {
    const found = find(pair, errors.length < mostSuggestions)
    if (typeof found !== 'string') return [found]
    errors.push({ pointer: `/endpoints/${index}`, detail: found })
    return []
  })
  const jobs = (wanted.jobs ?? []).flatMap((name, index) => {
    const entries = jobsNamed(name, shown.jobs)
    if (entries.length === 0) {
      const detail = `There is no job "${name}".${didYouMean(
        name,
        shown.jobs.map((one) => one.job),
      )}`
      errors.push({ pointer: `/jobs/${index}`, detail })
    }
    return entries
  })
  if (errors.length > 0)
    throw new Problem('validation-failed', errors[0]!.detail, { errors: errors.slice(0, 20) })
  const needed = [...endpoints.flatMap((one) => one.auth.scopes), ...jobs.flatMap((one) => one.scopes)]
  return {
    scopes: smallestSet(needed, snapshot.scopes),
    endpoints: endpoints.map(({ id, service, method, path, access, auth }) => {
      return { id, service, method, path, access, scopes: auth.scopes }
    }),
    jobs: jobs.map(({ job, service, scopes }) => ({ job, service, scopes })),
  }
}

type Pair = NonNullable<Wanted['endpoints']>[number]

/** By the template, whatever its parameters are called, or by a path that fits one. A text says why there is none. */
function endpointFinder(endpoints: readonly Endpoint[]) {
  const services = new Set(endpoints.map((one) => one.service))
  const named = new Map<string, Endpoint[]>()
  for (const one of endpoints) {
    const key = `${one.method} ${shapeOf(one.path)}`
    named.set(key, [...(named.get(key) ?? []), one])
  }
  return ({ method: given, path, service }: Pair, suggests: boolean): Endpoint | string => {
    const method = given.toUpperCase()
    if (service !== undefined && !services.has(service))
      return `No service "${service}" shows endpoints.${didYouMean(service, services)}`
    const isOfIt = (one: Endpoint) => service === undefined || one.service === service
    const exact = (named.get(`${method} ${shapeOf(path)}`) ?? []).filter(isOfIt)
    const found =
      exact.length > 0 ? exact : endpoints.filter((one) => isOfIt(one) && takes(one, method, path))
    const owners = [...new Set(found.map((one) => one.service))]
    if (owners.length === 1) return mostSpecific(found)
    if (owners.length > 1)
      return `${method} ${path} is of several services: ${owners.join(', ')}. Say which in "service".`
    const names = suggests ? endpoints.filter(isOfIt).map((one) => `${one.method} ${one.path}`) : []
    return `There is no endpoint ${method} ${path}.${didYouMean(`${method} ${path}`, names)}`
  }
}

function takes(endpoint: Endpoint, method: string, path: string): boolean {
  if (endpoint.method !== method) return false
  const [wanted, template] = [segmentsOf(path), segmentsOf(endpoint.path)]
  return (
    wanted.length === template.length && wanted.every((one, index) => segmentsMeet(one, template[index]!))
  )
}

/** As gateways choose: the one that has text where the others have parameters. */
const mostSpecific = (found: readonly Endpoint[]): Endpoint =>
  [...found].sort((a, b) => parametersOf(a.path).length - parametersOf(b.path).length)[0]!
