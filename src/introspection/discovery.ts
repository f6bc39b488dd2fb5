// Discovery documents: RFC 8414 (also where OpenID clients look) and RFC 9728.
import Type from 'typebox'
import type { Db } from '../db/tables.ts'
import type { App } from '../http/server.ts'
import { ownScopes } from '../identity/own-scopes.ts'
import { scopes } from '../identity/queries.ts'
import { exchangeGrant } from './token-endpoint.ts'

const tags = ['Discovery']
const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
const response = { 200: Type.Object({}, { additionalProperties: true }) }

export function discoveryRoutes(app: App, { db, issuer }: { db: Db; issuer: string }): void {
  const metadata = async () =>
    authorizationServer(
      issuer,
      (await scopes(db)).map((scope) => scope.name),
    )
  const resource = () => protectedResource(issuer)
  // An issuer with a path has it behind the well-known segment (RFC 8414 §3, RFC 9728 §3).
  const path = new URL(issuer).pathname.replace(/\/$/, '')
  const at = (name: string) => [...new Set([`/.well-known/${name}`, `/.well-known/${name}${path}`])]

  for (const [index, url] of at('oauth-authorization-server').entries()) {
    const schema = {
      operationId: `authorizationServer${index || ''}`,
      summary: 'OAuth server metadata (RFC 8414)',
      tags,
      response,
    }
    app.route({ method: 'GET', url, config, schema, handler: metadata })
  }
  app.route({
    method: 'GET',
    url: '/.well-known/openid-configuration',
    config,
    schema: {
      operationId: 'openidConfiguration',
      summary: 'The same, where OpenID clients look',
      tags,
      response,
    },
    handler: metadata,
  })
  for (const [index, url] of at('oauth-protected-resource').entries()) {
    const schema = {
      operationId: `protectedResource${index || ''}`,
      summary: 'Protected resource metadata (RFC 9728)',
      tags,
      response,
    }
    app.route({ method: 'GET', url, config, schema, handler: async () => resource() })
  }
}

function authorizationServer(issuer: string, scopeNames: readonly string[]) {
  const authMethods = ['client_secret_basic', 'client_secret_post']
  return {
    issuer,
    token_endpoint: `${issuer}/oauth2/token`,
    introspection_endpoint: `${issuer}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint: `${issuer}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: authMethods,
    // REQUIRED by RFC 8414 §2, though there is no authorization endpoint that could have any.
    response_types_supported: [],
    // The token that is exchanged is the credential; no client has another.
    token_endpoint_auth_methods_supported: ['none'],
    // Said explicitly: left out, it would mean authorization_code and implicit.
    grant_types_supported: [exchangeGrant],
    scopes_supported: scopeNames,
    service_documentation: `${issuer}/docs`,
  }
}

function protectedResource(issuer: string) {
  return {
    resource: issuer,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    scopes_supported: ownScopes.map((scope) => scope.name),
    resource_name: 'Latchkey',
    resource_documentation: `${issuer}/docs`,
  }
}
