// A text made from what is published, for each kind of viewer: rendered once for each state, with an ETag of its own.
import { strongEtag } from '../../http/etag.ts'
import type { Catalog, Page } from '../catalog.ts'
import type { Snapshot } from '../live.ts'
import type { Shown } from '../shown.ts'
import type { Viewer } from '../viewer.ts'

export type State = { readonly snapshot: Snapshot; readonly shown: Shown }

export function pagesOf(
  catalog: Catalog,
  render: (state: State) => string,
): (viewer: Viewer) => Promise<Page> {
  const pages = new WeakMap<Shown, Page>()
  return async (viewer) => {
    const state = await catalog.shown(viewer)
    const text = pages.get(state.shown)?.text ?? render(state)
    const page = pages.get(state.shown) ?? { text, etag: strongEtag(text) }
    pages.set(state.shown, page)
    return page
  }
}
