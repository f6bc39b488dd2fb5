// The list of published APIs where any client may look for it (RFC 9727), as a linkset (RFC 9264). Pure.
import { ownServiceId } from '../../identity/own-scopes.ts'
import type { Snapshot } from '../live.ts'
import type { Site } from '../render.ts'

/** RFC 9727 §4.2: JSON, with the profile that says what kind of linkset it is. */
export const linksetType = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'

/** RFC 9727 §2: what HEAD is answered with, so that one need not read the document to learn that it is there. */
export const apiCatalogLink = (issuer: string) =>
  `<${issuer}/.well-known/api-catalog>; rel="api-catalog"; type="application/linkset+json"`

export function apiCatalog({ issuer }: Site, snapshot: Snapshot) {
  const apis = [ownServiceId, ...snapshot.services.map((one) => one.id)].flatMap((id) => {
    const place = placeOf(id, issuer, snapshot)
    return place === null ? [] : [{ id, place }]
  })
  const all = {
    anchor: `${issuer}/.well-known/api-catalog`,
    item: apis.map(({ place }) => ({ href: place })),
    ...linksTo(issuer, '/api/programmatic/openapi.json', ''),
  }
  const each = apis.map(({ id, place }) => ({
    anchor: place,
    ...linksTo(issuer, `/api/programmatic/openapi/${id}.json`, `?service=${id}`),
  }))
  return { linkset: [all, ...each] }
}

/** Relations of RFC 8631. */
const linksTo = (issuer: string, description: string, query: string) => ({
  'service-desc': [{ href: issuer + description, type: 'application/json' }],
  'service-doc': [
    { href: `${issuer}/docs/`, type: 'text/html' },
    { href: `${issuer}/llms.txt`, type: 'text/plain' },
  ],
  'service-meta': [{ href: `${issuer}/api/programmatic/catalog${query}`, type: 'application/json' }],
})

/** null: nobody has said, and a link needs somewhere to go. The document of all APIs has it all the same. */
function placeOf(id: string, issuer: string, { registered, servers }: Snapshot): string | null {
  if (id === ownServiceId) return issuer
  const baseUrl = registered.find((one) => one.id === id)?.base_url
  return baseUrl ?? (servers.get(id) ?? []).find((url) => URL.canParse(url)) ?? null
}
