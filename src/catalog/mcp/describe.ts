// describe_endpoint: all there is to know for calling one endpoint, in one answer. Pure.
import { didYouMean } from '../../http/nearest.ts'
import { Problem } from '../../http/problem.ts'
import { type ProblemCode, problems } from '../../http/problems.ts'
import { ownServiceId } from '../../identity/own-scopes.ts'
import type { Endpoint } from '../endpoint.ts'
import type { State } from '../formats/pages.ts'
import type { Snapshot } from '../live.ts'
import type { Viewer } from '../viewer.ts'
import { allowance } from './tools.ts'

type Wanted = { id: string; service?: string | undefined }

/** @throws Problem when there is none, or one in each of several services */
export function describeEndpoint(wanted: Wanted, { snapshot, shown }: State, viewer: Viewer, issuer: string) {
  const endpoint = find(wanted, shown.endpoints)
  const { service } = endpoint
  return {
    ...endpoint,
    baseUrls: baseUrlsOf(service, snapshot, issuer),
    errors: endpoint.errors.map((code) => explained(code, service, snapshot)),
    workflows: shown.workflows
      .filter(({ steps }) => steps.some((one) => one.service === service && one.endpoint === endpoint.id))
      .map(({ id, service, title }) => ({ id, service, title })),
    ...allowance(endpoint, viewer),
  }
}

function find({ id, service }: Wanted, endpoints: readonly Endpoint[]): Endpoint {
  const services = new Set(endpoints.map((one) => one.service))
  if (service !== undefined && !services.has(service))
    throw new Problem('not-found', `No service "${service}" shows endpoints.${didYouMean(service, services)}`)
  const within = endpoints.filter((one) => service === undefined || one.service === service)
  const [first, ...others] = within.filter((one) => one.id === id)
  const ids = new Set(within.map((one) => one.id))
  if (!first) throw new Problem('not-found', `There is no endpoint "${id}".${didYouMean(id, ids)}`)
  if (others.length === 0) return first
  const owners = [first, ...others].map((one) => one.service).join(', ')
  throw new Problem('validation-failed', `"${id}" is of several services: ${owners}. Say which in "service".`)
}

/** Empty: nobody has said. */
function baseUrlsOf(service: string, { registered, servers }: Snapshot, issuer: string): readonly string[] {
  if (service === ownServiceId) return [issuer]
  const baseUrl = registered.find((one) => one.id === service)?.base_url
  return baseUrl ? [baseUrl] : (servers.get(service) ?? [])
}

/** A service's own words come first: it knows better what its refusal means. */
function explained(code: string, service: string, { services }: Snapshot) {
  const own = services.find((one) => one.id === service)?.errors.find((one) => one.code === code)
  if (own) return own
  if (!Object.hasOwn(problems, code)) return { code }
  const { status, meaning, whatToDo, retry } = problems[code as ProblemCode]
  return { code, status, meaning, whatToDo, retry }
}
