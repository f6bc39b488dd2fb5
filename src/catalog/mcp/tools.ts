// What the MCP tools answer: the catalog, in pieces that an agent can read one after the other. Pure.
import { ownServiceId } from '../../identity/own-scopes.ts'
import { allowanceOf } from '../allowed.ts'
import { you } from '../catalog.ts'
import type { Endpoint } from '../endpoint.ts'
import { type CatalogQuery, matcherOf } from '../filter.ts'
import type { State } from '../formats/pages.ts'
import type { Viewer } from '../viewer.ts'

/** An answer is read by a model, which forgets the rest of its work over a long one. */
const most = 50

type Search = Pick<CatalogQuery, 'q' | 'job' | 'scope' | 'method' | 'service'>

/** @throws Problem when a filter names what does not exist */
export function searchEndpoints(query: Search, { snapshot, shown }: State, viewer: Viewer) {
  const known = {
    services: snapshot.registered.map((one) => one.id),
    scopes: snapshot.scopes.map((one) => one.name),
  }
  const matches = matcherOf(query, shown, known) ?? (() => true)
  const found = shown.endpoints.filter(matches)
  return {
    total: found.length,
    endpoints: found.slice(0, most).map((endpoint) => line(endpoint, viewer)),
    ...(found.length > most && { note: `The first ${most}. Say more of what you need.` }),
    ...(found.length === 0 && { note: 'Nothing has all of these words. Try fewer, or list_jobs.' }),
  }
}

const line = (endpoint: Endpoint, viewer: Viewer) => {
  const { id, service, method, path, access, auth, summary } = endpoint
  return { id, service, method, path, access, scopes: auth.scopes, summary, ...allowance(endpoint, viewer) }
}

export const allowance = (endpoint: Endpoint, { self, isAdmin }: Viewer) =>
  self === null ? {} : allowanceOf(endpoint, self, isAdmin)

/** With the workflow of each job, as no other tool shows it. */
export function listJobs({ q }: { q?: string | undefined }, { shown }: State) {
  const words = q?.toLowerCase().split(/\s+/).filter(Boolean) ?? []
  const found = shown.jobs.filter(({ job, service, scopes }) => {
    const text = [job, service, ...scopes].join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  })
  return {
    total: found.length,
    jobs: found.slice(0, most).map(({ workflow, ...job }) => {
      const found = shown.workflows.find((one) => one.service === job.service && one.id === workflow)
      return { ...job, ...(found && { workflow: found }) }
    }),
    ...(found.length > most && { note: `The first ${most}. Say in q what you need.` }),
    ...(found.length === 0 && { note: 'No job has all of these words. Try fewer, or search_endpoints.' }),
  }
}

export function whoAmI({ self, isAdmin }: Viewer) {
  if (self === null) {
    const note =
      'No token was presented, so what is shown is what everybody sees. Configure this server with the header "Authorization: Bearer <token>" to be told what the token may do.'
    return { authenticated: false, note }
  }
  const { audience } = self
  const isForOthers = audience.length > 0 && !audience.includes(ownServiceId)
  return {
    authenticated: true,
    ...you(self),
    isAdmin,
    ...(isForOthers && { note: `The token is limited to ${audience.join(', ')}.` }),
  }
}
