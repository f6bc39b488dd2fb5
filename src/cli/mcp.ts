// `latchkey mcp`: an MCP server on stdin and stdout for clients that start a program. It declares nothing itself: each
// message goes to Latchkey's own /mcp, with the credential of this session, and what comes back goes to the client.
import { type Client, LatchkeyError } from '@latchkey/sdk/client'
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { Command } from 'commander'
import { usage } from './failure.ts'
import { refused } from './remote.ts'
import { clientOf, credentialOptions, openSession, type Session, urlOption } from './session.ts'

type Options = { readonly url?: string; readonly tokenFile?: string }

export function mcp(): Command {
  const command = new Command('mcp')
    .description('Serve the catalog to an AI agent: an MCP server on stdin and stdout')
    .addOption(urlOption())
    .addHelpText(
      'after',
      '\nThe client starts it; what to put into its configuration: docs/automate/agents.md',
    )
  const ofFile = credentialOptions().find((option) => option.long === '--token-file')!
  return command.addOption(ofFile).action(serve)
}

async function serve(options: Options): Promise<void> {
  if (process.stdin.isTTY)
    throw usage(
      'This talks to an MCP client, not to people.',
      'See docs/automate/agents.md for its configuration.',
    )
  const session = await openSession(options)
  const answer = answerer(clientOf(session), session)
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js')
  const transport = new StdioServerTransport()
  transport.onmessage = async (message) => {
    const said = await answer(message)
    if (said) await transport.send(said)
  }
  // Not what it was: it may be anything that was piped in by mistake.
  transport.onerror = () => process.stderr.write('latchkey: A line on stdin is no message of MCP.\n')
  // It ends when stdin does, and all is answered.
  await transport.start()
}

/** What is to be said to a message; nothing to a notification. */
function answerer(client: Client, session: Session) {
  const headers: Record<string, string> = {}
  return async (message: JSONRPCMessage): Promise<JSONRPCMessage | null> => {
    // An answer: Latchkey asks nothing.
    if (!('method' in message)) return null
    try {
      const { body } = await client.call<JSONRPCMessage | ''>('POST', '/mcp', { body: message, headers })
      if (body === '') return null
      // From then on every request names it (MCP, transports, protocol version header).
      const version = 'result' in body && body.result['protocolVersion']
      if (typeof version === 'string') headers['mcp-protocol-version'] = version
      return body
    } catch (error) {
      return 'id' in message ? failed(message.id, refused(error, session) as Error) : null
    }
  }
}

const internalError = -32_603

function failed(id: string | number, error: Error): JSONRPCMessage {
  const { code = 'failed' } = error as { code?: string }
  const status = error instanceof LatchkeyError ? error.status : null
  return {
    jsonrpc: '2.0',
    id,
    error: { code: internalError, message: error.message, data: { code, status } },
  }
}
