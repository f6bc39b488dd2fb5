// The catalog document, from what is shown, declared scopes and the list of problems. Pure.
import { problems } from '../http/problems.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { ScopeGroupRow, ScopeRow, ServiceRow } from '../identity/queries.ts'
import type { Snapshot } from './live.ts'
import type { Shown } from './shown.ts'

export type Site = {
  readonly issuer: string
  readonly version: string
  readonly tokenPrefix: string
}

/** All members but the endpoints, which are most of it. */
export function catalogFrame(site: Site, snapshot: Snapshot, shown: Shown) {
  const { issuer } = site
  return {
    catalogVersion: '1.0',
    product: {
      name: 'Latchkey',
      summary: 'API tokens: who is this bearer, and may it do this, here, now?',
      docsUrl: `${issuer}/docs`,
    },
    links: linksOf(issuer),
    auth: authModes(site),
    scopeGroups: scopeGroups(snapshot.groups, snapshot.scopes),
    presets: snapshot.guidance.flatMap(({ service, presets }) =>
      presets.map((preset) => ({ ...preset, service })),
    ),
    jobs: shown.jobs,
    services: snapshot.registered.map((service) => serviceEntry(service, site, snapshot)),
    errors: [
      ...Object.entries(problems).map(([code, { status, meaning, whatToDo, retry }]) => {
        return { code, status, type: `${issuer}/problems/${code}`, meaning, whatToDo, retry }
      }),
      ...snapshot.services.flatMap(({ id, errors }) => errors.map((error) => ({ ...error, service: id }))),
    ],
    workflows: shown.workflows,
  }
}

/** What `view=summary` has around its endpoints. */
export function summaryFrame({ issuer }: Site, snapshot: Snapshot, shown: Shown) {
  return {
    catalogVersion: '1.0',
    view: 'summary',
    links: linksOf(issuer),
    services: snapshot.registered.map(({ id, name, base_url }) => ({
      id,
      name,
      baseUrl: id === ownServiceId ? issuer : base_url,
    })),
    jobs: shown.jobs.map(({ job, service, scopes }) => ({ job, service, scopes })),
  }
}

const linksOf = (issuer: string) => ({
  self: `${issuer}/api/programmatic/catalog`,
  openapi: `${issuer}/api/programmatic/openapi.json`,
  arazzo: `${issuer}/api/programmatic/arazzo.json`,
  llms: `${issuer}/llms.txt`,
  mcp: `${issuer}/mcp`,
  apiCatalog: `${issuer}/.well-known/api-catalog`,
  scopesFor: `${issuer}/api/v1/catalog/scopes-for`,
  docs: `${issuer}/docs`,
  problems: `${issuer}/problems`,
})

function authModes({ issuer, tokenPrefix }: Site) {
  return {
    modes: {
      pat: {
        type: 'http',
        scheme: 'bearer',
        header: `Authorization: Bearer ${tokenPrefix}_pat_...`,
        tokenPattern: `^${tokenPrefix}_(pat|svc|tmp)_[0-9A-Za-z]{36}$`,
        self: `${issuer}/api/v1/tokens/self`,
      },
      session: { type: 'cookie', note: 'Browser sign-in only; never send it from scripts.' },
      clientCredentials: {
        type: 'http',
        scheme: 'basic',
        note: 'A registered service’s client id and secret; for introspection only.',
      },
    },
    access: {
      public: 'No credential needed.',
      token: 'A token only.',
      both: 'A token or a browser session.',
      'browser-only': 'Needs a person in a browser.',
      'webhook-ingress': 'Called by a third party with its own signature. Do not call.',
      internal: 'Service to service. Listed for admins only.',
      'admin-only': 'Needs an admin subject as well as the scope. Listed for admins only.',
    },
  }
}

/** Groups of the same id in several services are one group to the reader. */
function scopeGroups(groups: readonly ScopeGroupRow[], scopes: readonly ScopeRow[]) {
  return [...new Map([...groups].reverse().map((group) => [group.id, group.title]))]
    .reverse()
    .map(([id, title]) => {
      return { id, title, scopes: scopes.filter((scope) => scope.group_id === id).map(scopeEntry) }
    })
}

function scopeEntry(scope: ScopeRow) {
  return {
    name: scope.name,
    title: scope.title,
    ...(scope.description !== null && { description: scope.description }),
    service: scope.service_id,
    risk: scope.risk,
    ...(scope.implies.length > 0 && { implies: scope.implies }),
    ...(scope.max_lifetime_days !== null && { maxLifetimeDays: scope.max_lifetime_days }),
  }
}

function serviceEntry(service: ServiceRow, { issuer, version }: Site, snapshot: Snapshot) {
  const { id, name, description, base_url: baseUrl } = service
  const named = { id, name, ...(description !== null && { description }) }
  const openapi = `${issuer}/api/programmatic/openapi/${id}.json`
  if (id === ownServiceId) return { ...named, baseUrl: issuer, version, openapi }
  const published = snapshot.services.find((one) => one.id === id)
  if (!published) return { ...named, baseUrl }
  const { digest, publishedAt, version: ofDocument } = published
  const servers = snapshot.servers.get(id) ?? []
  return {
    ...named,
    baseUrl,
    ...(baseUrl === null && servers.length > 0 && { servers }),
    version: ofDocument,
    openapi,
    publishedAt: publishedAt.toISOString(),
    digest,
  }
}
