// A document that a service publishes, from a file or stdin to Latchkey: published, or only compared (a dry run).
import type { Client } from '@latchkey/sdk/client'
import { usage } from '../failure.ts'
import { textOf } from '../input.ts'
import { segment } from '../path.ts'
import type { SessionOptions } from '../session.ts'
import type { Published } from './changes.ts'

export type SubmitOptions = Pick<SessionOptions, 'tokenStdin'> & {
  readonly service: string
  readonly dryRun?: true
  readonly ifMatch?: string
}

/** As the API answers, with members that are always the same. @throws LatchkeyError when it is refused */
export async function submit(client: Client, file: string, options: SubmitOptions): Promise<Published> {
  const { service, dryRun = false, ifMatch, tokenStdin } = options
  if (file === '-' && tokenStdin)
    throw usage(
      'The document and the secret cannot both come from stdin.',
      'Use --token-file for the secret.',
    )
  const body = await textOf(file)
  const headers = {
    'content-type': typeOf(file, body),
    ...(ifMatch !== undefined && { 'if-match': entityTag(ifMatch) }),
  }
  const path = `/api/v1/services/${segment(service)}/openapi`
  const query = { dryRun: dryRun || undefined }
  const answer = await client.call<Answered>('PUT', path, { query, headers, body })
  const { changed, digest, publishedAt = null, endpoints, diff, problems = [] } = answer.body
  return { service, changed, dryRun, digest, publishedAt, endpoints, diff, problems }
}

type Answered = Omit<Published, 'publishedAt' | 'problems'> & Partial<Published>

/** By the name of the file; what has none that says so is JSON if it begins as JSON documents do. */
function typeOf(file: string, content: string): string {
  const named = /\.(json|ya?ml)$/i.exec(file)?.[1]?.toLowerCase()
  const isJson = named === undefined ? content.trimStart().startsWith('{') : named === 'json'
  return isJson ? 'application/json' : 'application/yaml'
}

/** The digest will do, as it is printed: quotes within quotes are a trap in every shell. */
const entityTag = (given: string): string => (/^(\*|".*")$/.test(given) ? given : `"${given}"`)
