// What the steps of the demo are made of: a call, what was promised of its answer, and a line about it.
import { isDeepStrictEqual } from 'node:util'

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape; what matters of it is asserted
export type Answer = { status: number; headers: Headers; text: string; body: any }

export type Call = ReturnType<typeof caller>
export type Made = { id: string; token: string; hint: string; expireAt: string | null }

export async function provision(
  call: Call,
  body: Record<string, unknown>,
): Promise<Made & Record<string, unknown>> {
  const answer = await call('POST', '/api/v1/tokens', body)
  promised(`provisioning "${body['name']}"`, answer, 200, { active: true, name: body['name'] })
  expect('a secret may not be stored on the way', answer.headers.get('cache-control') === 'no-store')
  expect('Location names the token', answer.headers.get('location') === `/api/v1/tokens/${answer.body.id}`)
  return answer.body
}

/** @param as a token, or a whole Authorization header */
export function caller(url: string, admin: string) {
  return async (method: string, path: string, body?: unknown, as = admin): Promise<Answer> => {
    const headers = {
      authorization: as.includes(' ') ? as : `Bearer ${as}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    return read(
      await fetch(url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }),
    )
  }
}

export async function form(
  url: string,
  path: string,
  fields: Record<string, string>,
  authorization: string | null,
): Promise<Answer> {
  const headers = authorization === null ? {} : { authorization }
  return read(await fetch(url + path, { method: 'POST', headers, body: new URLSearchParams(fields) }))
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
}

export function promised(
  what: string,
  { status, body, text }: Answer,
  wanted: number,
  members: Record<string, unknown> = {},
): void {
  const asWanted = Object.entries(members).every(([name, value]) => isDeepStrictEqual(body[name], value))
  if (status !== wanted || !asWanted) {
    throw new Error(
      `${what}: expected ${wanted} ${JSON.stringify(members)}, got ${status} ${text.slice(0, 500)}`,
    )
  }
}

export function expect(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not as promised: ${what}`)
}

export function say(line: string): void {
  console.log(`✓ ${line}`)
}
