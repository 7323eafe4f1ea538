/**
 * Completion scripts for bash, zsh and fish, made of the model of the commands.
 *
 * Pure texts. Each script walks the words typed so far to find the command, the option whose value is being typed, and
 * the position; names of jobs and metrics come from `millrace __complete`, which asks the server and is silent when there
 * is none. Nothing that a server answers is ever evaluated: bash reads it line by line.
 */
import { allCommands, type CommandModel, type Completer, type OptionModel } from './completion-model.ts'

/** The shells. */
export const shells = ['bash', 'zsh', 'fish'] as const

/** A shell that there is a script for. */
export type Shell = (typeof shells)[number]

/** The script for a shell. */
export function completionScript(shell: Shell, model: CommandModel): string {
  switch (shell) {
    case 'bash':
      return bash(model)
    case 'zsh':
      return zsh(model)
    case 'fish':
      return fish(model)
  }
}

/** What a place takes, as the scripts name it. */
function kindOf(completer: Completer): string {
  return completer.kind === 'words' ? `words ${completer.words.join(' ')}` : completer.kind
}

/** `case` lines that bash and zsh share: which words are commands, which options take what, what stands where. */
function caseLines(model: CommandModel) {
  const commands = allCommands(model)
  const valued = commands.flatMap((command) =>
    command.options.flatMap((option) =>
      option.value === null ? [] : option.flags.map((flag) => ({ place: `${command.path} ${flag}`, option })),
    ),
  )
  const positions = commands.flatMap((command) =>
    command.positions.map((completer, index) => {
      const every = command.repeats && index === command.positions.length - 1
      return `    ${quoted(`${command.path} `)}${every ? '*' : index}) kind=${quoted(kindOf(completer))} ;;`
    }),
  )
  return {
    paths: commands.filter(({ path }) => path !== '').map(({ path }) => quoted(` ${path}`)),
    options: valued.map(({ place }) => quoted(place)),
    values: valued.map(({ place, option }) => `    ${quoted(place)}) kind=${quoted(kindOf(option.value!))} ;;`),
    positions,
    flags: commands.map((command) => `    ${quoted(command.path)}) kind=${quoted(`words ${flagsOf(command)}`)} ;;`),
    below: commands
      .filter((command) => command.commands.length > 0)
      .map(
        (command) =>
          `    ${quoted(command.path)}) kind=${quoted(`words ${command.commands.map(nameOf).join(' ')}`)} ;;`,
      ),
  }
}

const nameOf = (command: CommandModel): string => command.path.split(' ').at(-1)!
const flagsOf = (command: CommandModel): string => command.options.flatMap((option) => option.flags).join(' ')
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** The walk over the words before the one being typed. Leaves `command`, `option` and `position`. */
function walk(lines: ReturnType<typeof caseLines>, word: string, from: string, to: string): string {
  return `  for ((i = ${from}; i < ${to}; i++)); do
    word=${word}
    if [[ -n $option ]]; then
      option=''
      continue
    fi
    case "$command $word" in
    ${lines.options.join(' | ')}) option=$word; continue ;;
    esac
    [[ $word == -* ]] && continue
    case "\${command:+ $command} $word" in
    ${lines.paths.join(' | ')}) command="\${command:+$command }$word" ;;
    *) position=$((position + 1)) ;;
    esac
  done
  if [[ -n $option ]]; then
    case "$command $option" in
${lines.values.join('\n')}
    esac
  elif [[ $current == -* ]]; then
    case "$command" in
${lines.flags.join('\n')}
    esac
  else
    case "$command $position" in
${lines.positions.join('\n')}
    esac
    case "$command" in
${lines.below.join('\n')}
    esac
  fi`
}

function bash(model: CommandModel): string {
  const lines = caseLines(model)
  return `# Completion of millrace for bash. Load it with: source <(millrace completion bash)

_millrace() {
  local current=\${COMP_WORDS[COMP_CWORD]} command='' option='' position=0 kind='' word i name
  COMPREPLY=()
${walk(lines, `\${COMP_WORDS[i]}`, '1', 'COMP_CWORD')}
  case $kind in
  words*)
    for name in \${kind#words}; do
      [[ $name == "$current"* ]] && COMPREPLY+=("$name")
    done
    ;;
  files | folders)
    local what=-f
    [[ $kind == folders ]] && what=-d
    compopt -o filenames 2>/dev/null
    while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen "$what" -- "$current")
    ;;
  jobs | metrics)
    while IFS= read -r name; do
      [[ $name == "$current"* ]] && COMPREPLY+=("$name")
    done < <("\${COMP_WORDS[0]}" __complete "$kind" 2>/dev/null)
    ;;
  esac
}

complete -F _millrace millrace
`
}

function zsh(model: CommandModel): string {
  const lines = caseLines(model)
  const described = allCommands(model).flatMap((command) => [
    ...command.commands.map((child) => ({ place: `${command.path} ${nameOf(child)}`, text: child.summary })),
    ...command.options.flatMap((option) =>
      option.flags.map((flag) => ({ place: `${command.path} ${flag}`, text: option.description })),
    ),
  ])
  return `#compdef millrace
# Completion of millrace for zsh. Load it with: source <(millrace completion zsh)

_millrace() {
  setopt local_options no_ksh_arrays no_sh_word_split
  local current=\${words[CURRENT]} command='' option='' position=0 kind='' word i name text
  local -a names texts
${walk(lines, `\${words[i]}`, '2', 'CURRENT')}
  case $kind in
  words*)
    names=(\${(s: :)\${kind#words}})
    for name in $names; do
      text=''
      case "$command $name" in
${described.map(({ place, text }) => `      ${quoted(place)}) text=${quoted(text)} ;;`).join('\n')}
      esac
      texts+=("$name\${text:+  -- $text}")
    done
    compadd -l -d texts -a names
    ;;
  files) _files ;;
  folders) _files -/ ;;
  jobs | metrics)
    names=("\${(@f)$("\${words[1]}" __complete "$kind" 2>/dev/null)}")
    compadd -a names
    ;;
  esac
}

if [[ $funcstack[1] == _millrace ]]; then
  _millrace "$@"
else
  compdef _millrace millrace
fi
`
}

function fish(model: CommandModel): string {
  const lines: string[] = []
  for (const command of allCommands(model)) {
    const here = `-n ${quoted(`__millrace_at ${quotedWords(command.path)}`)}`
    for (const child of command.commands) {
      lines.push(`complete -c millrace ${here} -f -a ${quoted(nameOf(child))} -d ${quoted(child.summary)}`)
    }
    for (const option of command.options) lines.push(`complete -c millrace ${here} ${fishOption(option)}`)
    command.positions.forEach((completer, index) => {
      const every = command.repeats && index === command.positions.length - 1
      const at = `-n ${quoted(`__millrace_at ${quotedWords(command.path)}${every ? '' : ` ${index}`}`)}`
      lines.push(`complete -c millrace ${at} ${fishCompleter(completer)}`)
    })
  }
  const valued = allCommands(model).flatMap((command) =>
    command.options.flatMap((option) =>
      option.value === null ? [] : option.flags.map((flag) => quoted(`${command.path} ${flag}`)),
    ),
  )
  const paths = allCommands(model).flatMap(({ path }) => (path === '' ? [] : [quoted(path)]))
  return `# Completion of millrace for fish. Load it with: millrace completion fish | source

set -g __millrace_commands ${paths.join(' ')}
set -g __millrace_valued ${valued.join(' ')}

# Whether the words typed so far are this command and, if a second argument is given, so many positions behind it.
function __millrace_at
    set -l words (commandline -opc)
    set -l path ''
    set -l position 0
    set -l skip 0
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- "$path $word" $__millrace_valued
            set skip 1
        else if not string match -q -- '-*' $word
            set -l longer (string trim -- "$path $word")
            if contains -- $longer $__millrace_commands
                set path $longer
            else
                set position (math $position + 1)
            end
        end
    end
    test "$path" = "$argv[1]"; and begin
        test (count $argv) = 1; or test $position = $argv[2]
    end
end

complete -c millrace -f
${lines.join('\n')}
`
}

const quotedWords = (path: string): string => `"${path}"`

function fishOption(option: OptionModel): string {
  const flags = option.flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
  const value = option.value === null ? '' : ` -r ${fishCompleter(option.value)}`
  return `${flags.join(' ')}${value} -d ${quoted(option.description)}`
}

function fishCompleter(completer: Completer): string {
  switch (completer.kind) {
    case 'words':
      return `-f -a ${quoted(completer.words.join(' '))}`
    case 'files':
      return '-F'
    case 'folders':
      return `-f -a ${quoted('(__fish_complete_directories)')}`
    case 'jobs':
    case 'metrics':
      return `-f -a ${quoted(`(millrace __complete ${completer.kind} 2>/dev/null)`)}`
    case 'nothing':
      return '-f'
  }
}
