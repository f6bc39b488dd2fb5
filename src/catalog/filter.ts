// The catalog's filters: which endpoints are asked for. A name that does not exist is refused with the nearest one,
// as an empty answer would read like "there is no such endpoint".
import Type, { type Static } from 'typebox'
import { didYouMean } from '../http/nearest.ts'
import { Problem } from '../http/problem.ts'
import { accessKinds, type Endpoint } from './endpoint.ts'
import type { JobEntry, Shown, Workflow } from './shown.ts'

const name = (most: number, description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: most, format: 'text', description }))

export const filterMethods = ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'] as const

export const CatalogQuery = Type.Object(
  {
    service: name(64, 'Endpoints of this service.'),
    scope: name(100, 'Endpoints that need this scope.'),
    method: Type.Optional(Type.Enum(filterMethods)),
    access: Type.Optional(Type.Enum(accessKinds, { description: 'Who may call.' })),
    q: name(200, 'Endpoints in which all these words occur.'),
    job: name(200, 'Endpoints that this job takes; one of jobs.'),
    workflow: name(64, 'Endpoints that are steps of it; the id of one of workflows.'),
    view: Type.Optional(
      Type.Enum(['full', 'summary'], { description: 'summary: a line for each endpoint, to begin with.' }),
    ),
    for: Type.Optional(
      Type.Enum(['self'], {
        description: 'With a bearer token: what of it the token may call, and what it lacks.',
      }),
    ),
  },
  { additionalProperties: false },
)
export type CatalogQuery = Static<typeof CatalogQuery>

export type Known = { readonly services: readonly string[]; readonly scopes: readonly string[] }

/** null: all of them. @throws Problem naming what does not exist */
export function matcherOf(
  query: CatalogQuery,
  shown: Shown,
  known: Known,
): ((endpoint: Endpoint) => boolean) | null {
  const { service, scope, method, access, q } = query
  refuseUnknown('service', service, known.services)
  refuseUnknown('scope', scope, known.scopes)
  const words = q?.toLowerCase().split(/\s+/).filter(Boolean)
  const ofJob = query.job === undefined ? null : endpointsOfJob(query.job, shown)
  const ofWorkflow = query.workflow === undefined ? null : endpointsOfWorkflow(query.workflow, shown)
  const tests: ((one: Endpoint) => boolean)[] = []
  if (service !== undefined) tests.push((one) => one.service === service)
  if (scope !== undefined) tests.push((one) => one.auth.scopes.includes(scope))
  if (method !== undefined) tests.push((one) => one.method === method)
  if (access !== undefined) tests.push((one) => one.access === access)
  if (words) tests.push((one) => words.every((word) => textOf(one).includes(word)))
  if (ofJob) tests.push(ofJob)
  if (ofWorkflow) tests.push(ofWorkflow)
  return tests.length === 0 ? null : (one) => tests.every((test) => test(one))
}

function refuseUnknown(parameter: string, given: string | undefined, known: readonly string[]): void {
  if (given === undefined || known.includes(given)) return
  const detail = `There is no ${parameter} "${given}".${didYouMean(given, known)}`
  throw new Problem('validation-failed', `${parameter}: ${detail}`, { errors: [{ parameter, detail }] })
}

const texts = new WeakMap<Endpoint, string>()

function textOf(endpoint: Endpoint): string {
  const present = texts.get(endpoint)
  if (present !== undefined) return present
  const { id, service, method, path, summary, description = '', auth, jobs = [], note = '' } = endpoint
  const text = [id, service, method, path, summary, description, ...auth.scopes, ...jobs, note]
    .join('\n')
    .toLowerCase()
  texts.set(endpoint, text)
  return text
}

/** Those that name it and those of its workflow; where there are none, those that its scopes are for. */
function endpointsOfJob(name: string, { jobs, workflows }: Shown): (one: Endpoint) => boolean {
  const entries = jobsNamed(name, jobs)
  refuseUnknown('job', name, entries.length > 0 ? [name] : jobs.map((one) => one.job))
  const titles = new Set(entries.map((one) => one.job))
  const steps = new Set(
    entries.flatMap(({ service, workflow }) =>
      stepsOf(workflows.filter((one) => one.service === service && one.id === workflow)),
    ),
  )
  const isNamed = (one: Endpoint) =>
    one.jobs?.some((job) => titles.has(job)) || steps.has(`${one.service} ${one.id}`)
  if (entries.some((one) => one.endpoints)) return (one) => isNamed(one) ?? false
  const scopes = new Set(entries.flatMap((one) => one.scopes))
  return ({ auth }) => auth.scopes.length > 0 && auth.scopes.every((scope) => scopes.has(scope))
}

export const jobsNamed = (name: string, jobs: readonly JobEntry[]): JobEntry[] =>
  jobs.filter((one) => one.job.toLowerCase() === name.toLowerCase())

/** Of every service that has one of this id. */
function endpointsOfWorkflow(id: string, { workflows }: Shown): (one: Endpoint) => boolean {
  refuseUnknown(
    'workflow',
    id,
    workflows.map((one) => one.id),
  )
  const steps = new Set(stepsOf(workflows.filter((one) => one.id === id)))
  return (one) => steps.has(`${one.service} ${one.id}`)
}

const stepsOf = (workflows: readonly Workflow[]): string[] =>
  workflows.flatMap((one) => one.steps.map((step) => `${step.service} ${step.endpoint}`))
