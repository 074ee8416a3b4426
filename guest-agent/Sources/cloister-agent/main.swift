import AgentCore

AgentMain.run()
