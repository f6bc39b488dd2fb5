// The catalog document, from endpoints, declared scopes and the list of problems. Pure.
import { problems } from '../http/problems.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { ScopeGroupRow, ScopeRow, ServiceRow } from '../identity/queries.ts'
import type { Endpoint } from './endpoints.ts'
import type { Workflow } from './workflows.ts'

export type CatalogContent = {
  readonly issuer: string
  readonly version: string
  readonly tokenPrefix: string
  readonly services: readonly ServiceRow[]
  readonly groups: readonly ScopeGroupRow[]
  readonly scopes: readonly ScopeRow[]
  readonly endpoints: readonly Endpoint[]
  readonly workflows: readonly Workflow[]
}

export function catalogDocument(content: CatalogContent) {
  const { issuer, version, endpoints, workflows } = content
  return {
    catalogVersion: '1.0',
    product: {
      name: 'Latchkey',
      summary: 'API tokens: who is this bearer, and may it do this, here, now?',
      docsUrl: `${issuer}/docs`,
    },
    links: {
      self: `${issuer}/api/programmatic/catalog`,
      openapi: `${issuer}/openapi.json`,
      docs: `${issuer}/docs`,
      problems: `${issuer}/problems`,
    },
    auth: authModes(content),
    scopeGroups: scopeGroups(content),
    jobs: workflows.map(({ id, title, scopes }) => ({ job: title, scopes, workflow: id })),
    services: content.services.map((service) => serviceEntry(service, issuer, version)),
    endpoints,
    errors: Object.entries(problems).map(([code, { status, meaning, whatToDo, retry }]) => {
      return { code, status, type: `${issuer}/problems/${code}`, meaning, whatToDo, retry }
    }),
    workflows,
  }
}

function authModes({ issuer, tokenPrefix }: CatalogContent) {
  return {
    modes: {
      pat: {
        type: 'http',
        scheme: 'bearer',
        header: `Authorization: Bearer ${tokenPrefix}_pat_...`,
        tokenPattern: `^${tokenPrefix}_(pat|svc|tmp)_[0-9A-Za-z]{36}$`,
        self: `${issuer}/api/v1/tokens/self`,
      },
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
      'admin-only': 'Needs an admin subject as well as the scope.',
    },
  }
}

/** Groups of the same id in several services are one group to the reader. */
function scopeGroups({ groups, scopes }: CatalogContent) {
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

function serviceEntry(service: ServiceRow, issuer: string, version: string) {
  const own = service.id === ownServiceId
  return {
    id: service.id,
    name: service.name,
    ...(service.description !== null && { description: service.description }),
    baseUrl: own ? issuer : service.base_url,
    ...(own && { version, openapi: `${issuer}/openapi.json` }),
  }
}
