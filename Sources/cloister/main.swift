import CloisterCommands
import Glibc

exit(CloisterCommandLine.main(CommandLine.arguments))
