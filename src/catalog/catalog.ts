// The catalog as text, for each who asks. What does not depend on the question is rendered once for each state of what
// is published: five thousand endpoints are some megabytes.
import { strongEtag } from '../http/etag.ts'
import type { Facts } from '../policy/facts.ts'
import { allowanceOf } from './allowed.ts'
import type { Endpoint } from './endpoint.ts'
import { type CatalogQuery, matcherOf } from './filter.ts'
import type { Live, Snapshot } from './live.ts'
import { catalogFrame, type Site, summaryFrame } from './render.ts'
import { type Shown, shownTo } from './shown.ts'
import type { Viewer } from './viewer.ts'

export type Page = { readonly text: string; readonly etag: string }

export type Catalog = {
  /** @throws Problem when a filter names what does not exist */
  page(query: CatalogQuery, viewer: Viewer): Promise<Page>
  /** What the viewer is shown, for those who need it as values. */
  shown(viewer: Viewer): Promise<{ snapshot: Snapshot; shown: Shown }>
}

type View = 'full' | 'summary'

/** Of one state, for one kind of viewer. */
type Rendered = {
  readonly snapshot: Snapshot
  readonly shown: Shown
  readonly frames: Map<View, string>
  readonly entries: Map<View, readonly string[]>
  readonly pages: Map<View, Page>
}

export function createCatalog(live: Live, ownEndpoints: () => readonly Endpoint[], site: Site): Catalog {
  const states = new WeakMap<Snapshot, Map<boolean, Rendered>>()

  async function renderedFor({ isAdmin }: Viewer): Promise<Rendered> {
    const snapshot = await live.current()
    const kinds = states.get(snapshot) ?? new Map<boolean, Rendered>()
    states.set(snapshot, kinds)
    const rendered = kinds.get(isAdmin) ?? newRendered(snapshot, shownTo(isAdmin, snapshot, ownEndpoints()))
    kinds.set(isAdmin, rendered)
    return rendered
  }

  return {
    async page(query, viewer) {
      const rendered = await renderedFor(viewer)
      const view = query.view ?? 'full'
      const matches = matcherOf(query, rendered.shown, knownIn(rendered.snapshot))
      const isPlain = matches === null && viewer.self === null
      const page = (isPlain && rendered.pages.get(view)) || pageOf(rendered, view, matches, viewer, site)
      if (isPlain) rendered.pages.set(view, page)
      return page
    },
    shown: renderedFor,
  }
}

const newRendered = (snapshot: Snapshot, shown: Shown): Rendered => ({
  snapshot,
  shown,
  frames: new Map(),
  entries: new Map(),
  pages: new Map(),
})

const knownIn = ({ registered, scopes }: Snapshot) => ({
  services: registered.map((one) => one.id),
  scopes: scopes.map((one) => one.name),
})

function pageOf(
  rendered: Rendered,
  view: View,
  matches: ((endpoint: Endpoint) => boolean) | null,
  { self, isAdmin }: Viewer,
  site: Site,
): Page {
  const { endpoints } = rendered.shown
  const texts = entriesOf(rendered, view)
  const chosen: string[] = []
  for (const [index, endpoint] of endpoints.entries()) {
    if (matches?.(endpoint) === false) continue
    const text = texts[index]!
    chosen.push(self === null ? text : withMember(text, allowanceOf(endpoint, self, isAdmin)))
  }
  const frame = frameOf(rendered, view, site)
  const whole = `${frame.slice(0, -1)}${self === null ? '' : `,"you":${JSON.stringify(you(self))}`},"endpoints":[${chosen.join(',')}]}`
  const etag = strongEtag(whole)
  return { etag, text: `{"revision":${etag},${whole.slice(1)}` }
}

function frameOf(rendered: Rendered, view: View, site: Site): string {
  const make = view === 'full' ? catalogFrame : summaryFrame
  const text = rendered.frames.get(view) ?? JSON.stringify(make(site, rendered.snapshot, rendered.shown))
  rendered.frames.set(view, text)
  return text
}

function entriesOf({ entries, shown }: Rendered, view: View): readonly string[] {
  const texts = entries.get(view) ?? shown.endpoints.map(view === 'full' ? fullEntry : summaryEntry)
  entries.set(view, texts)
  return texts
}

const fullEntry = (endpoint: Endpoint): string => JSON.stringify(endpoint)

function summaryEntry({ id, service, method, path, access, auth, summary }: Endpoint): string {
  return JSON.stringify({ id, service, method, path, access, scopes: auth.scopes, summary })
}

/** Into the text of an object that has members already. */
const withMember = (text: string, more: object): string =>
  `${text.slice(0, -1)},${JSON.stringify(more).slice(1)}`

/** What a token is told about itself. */
export function you({ tokenId, type, subject, team, audience, scopes, expireAt }: Facts) {
  const end = expireAt === null ? null : new Date(expireAt).toISOString()
  return { tokenId, type, subject, team, audience, scopes, expireAt: end }
}
