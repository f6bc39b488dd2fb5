// Whether a command changes the very token it is signed in with: then what is stored of it has to follow.
import { segment } from '../path.ts'
import type { Remote } from '../remote.ts'
import type { Token } from './view.ts'

/** Where a token is in the API; `self` is the one that asks. */
export const pathOf = (id: string, below = ''): string => `/api/v1/tokens/${segment(id)}${below}`

export async function isOwn({ client }: Remote, id: string): Promise<boolean> {
  if (id === 'self') return true
  const { body } = await client.call<Token>('GET', '/api/v1/tokens/self')
  return body.id === id
}

/** For a question to people; who may change a token but not read it sees its id. */
export async function describe({ client }: Remote, id: string): Promise<string> {
  const named = ({ body }: { body: Token }) =>
    `${body.name} (${body.id}) of ${body.subject}, ${body.lastUsedAt === null ? 'never used' : `last used ${body.lastUsedAt}`}`
  return client.call<Token>('GET', pathOf(id)).then(named, () => id)
}
